"""The SQL of the page; rows of its answers -> the page's numbers.

Invariants: every event counts once, as in the views: rows are grouped by event identity and the newest
version decides. That needs no FINAL, because a version newer than one in the window is in the window too.
The newest minutes are found by `_loaded_at`, which never is before `received_at` (but for clock skew,
allowed for), so that settled granules are skipped: 68 ms on one core for 42,000 events in the window among
20 million rows, against 470 ms for FINAL over unsettled ones.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from consumers.live.state import (
    BUCKET_MS,
    BUCKETS,
    WINDOW_MS,
    EventType,
    Quarantine,
    Reason,
    Total,
    Window,
)

# Clocks of ingest and ClickHouse may differ by this much before an event of the window is missed.
_SKEW_MS = 300_000

TOTAL = "SELECT count(), toUnixTimestamp64Milli(max(received_at)) FROM tapcart.events"

QUARANTINE = """
SELECT grouping(reason) AS overall, toString(reason), count() AS n, countIf(replayed_at IS NULL)
FROM tapcart.quarantine
GROUP BY GROUPING SETS ((reason), ())
ORDER BY overall DESC, n DESC, reason
LIMIT 21
"""

WINDOW = """
SELECT
    grouping(event_type) AS overall, event_type, sum(n) AS events, sum(recent), sumMap([bucket], [n]),
    quantilesTDigestMerge(0.5, 0.99)(delays)
FROM (
    SELECT
        leftUTF8(name, 80) AS event_type,
        least(intDiv(received_ms - {start_ms:Int64}, {bucket_ms:Int64}), {buckets:Int64} - 1) AS bucket,
        count() AS n,
        countIf(received_ms >= {minute_ms:Int64}) AS recent,
        quantilesTDigestState(0.5, 0.99)(toFloat32(greatest(loaded_ms - received_ms, 0))) AS delays
    FROM (
        SELECT
            toString(event_type) AS name,
            toUnixTimestamp64Milli(argMax(received_at, _loaded_at)) AS received_ms,
            toUnixTimestamp64Milli(max(_loaded_at)) AS loaded_ms
        FROM tapcart_raw.events
        WHERE _loaded_at >= fromUnixTimestamp64Milli({loaded_from_ms:Int64}, 'UTC')
        GROUP BY name, app_id, toStartOfHour(timestamp), device_id, event_id
    )
    WHERE received_ms >= {start_ms:Int64}
    GROUP BY event_type, bucket
)
GROUP BY GROUPING SETS ((event_type), ())
ORDER BY overall DESC, events DESC, event_type
LIMIT 51
"""


def window_parameters(now_ms: int) -> dict[str, int]:
    """Return the parameters of the window that ends at `now_ms`; its last bucket is still filling."""
    start_ms = (now_ms - WINDOW_MS) // BUCKET_MS * BUCKET_MS + BUCKET_MS
    return {
        "start_ms": start_ms,
        "bucket_ms": BUCKET_MS,
        "buckets": BUCKETS,
        "minute_ms": now_ms - 60_000,
        "loaded_from_ms": start_ms - _SKEW_MS,
    }


def window(rows: Sequence[Sequence[Any]], known: Sequence[str], now_ms: int) -> Window:
    """Return the window in `rows`; the known types come first in their order, also those without events."""
    overall = rows[0]
    seen = {row[1]: EventType(row[1], row[2], _buckets(row[4])) for row in rows[1:]}
    unknown = sorted(seen.keys() - set(known))
    nothing = (0,) * BUCKETS
    types = tuple(seen.get(name) or EventType(name, 0, nothing) for name in [*known, *unknown])
    delays = overall[5] if overall[2] else (None, None)
    return Window(
        start_ms=window_parameters(now_ms)["start_ms"],
        end_ms=now_ms,
        bucket_ms=BUCKET_MS,
        count=overall[2],
        per_second=overall[3] / 60,
        buckets=_buckets(overall[4]),
        types=types,
        other=overall[2] - sum(t.count for t in types),
        delay_p50_ms=_rounded(delays[0]),
        delay_p99_ms=_rounded(delays[1]),
    )


def total(rows: Sequence[Sequence[Any]], now_ms: int) -> Total:
    """Return the number of all events in `rows`."""
    count, newest_ms = rows[0]
    return Total(count, newest_ms if count else None, now_ms)


def quarantine(rows: Sequence[Sequence[Any]], now_ms: int) -> Quarantine:
    """Return the quarantine's counts in `rows`."""
    overall = rows[0]
    reasons = tuple(Reason(row[1], row[2], row[3]) for row in rows[1:])
    return Quarantine(overall[2], overall[3], reasons, now_ms)


def _buckets(sums: tuple[Sequence[int], Sequence[int]] | Mapping[int, int]) -> tuple[int, ...]:
    counts = dict(sums) if isinstance(sums, Mapping) else dict(zip(*sums, strict=True))
    return tuple(counts.get(index, 0) for index in range(BUCKETS))


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)
