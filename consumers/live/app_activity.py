"""What alerts need of ClickHouse, beside what the page shows: who sends as always, and room on its disks.

Invariants: the number of apps is bounded, whatever senders call themselves: those beyond it count together.
An app's usual number is the least of the same minutes of the last seven days, so that a night, a weekend or
a new app is no silence. Events are counted by their own time; a repeated one counts again, which changes
nothing about none. The hours' place in the tables' order keeps the days between them unread.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from runtime.printable import printable

OTHER = "(other)"
_DAYS = 7
_DAY_MS, _MINUTE_MS = 86_400_000, 60_000
_COUNTS = ", ".join(f"countIf(ago = {day})" for day in range(_DAYS + 1))

APPS = f"""
SELECT app, sumForEach(counts)
FROM (
    SELECT
        if(row_number() OVER (ORDER BY arraySum(counts) DESC, app_id) <= {{apps_max:UInt32}},
           leftUTF8(toString(app_id), 80), '{OTHER}') AS app,
        counts
    FROM (
        WITH {{end_ms:Int64}} - toUnixTimestamp64Milli(timestamp) AS age_ms, intDiv(age_ms, {_DAY_MS}) AS ago
        SELECT app_id, [{_COUNTS}] AS counts
        FROM tapcart_raw.events
        WHERE timestamp > fromUnixTimestamp64Milli({{end_ms:Int64}} - {(_DAYS + 1) * _DAY_MS}, 'UTC')
          AND timestamp <= fromUnixTimestamp64Milli({{end_ms:Int64}}, 'UTC')
          AND toHour(toStartOfHour(timestamp)) IN {{hours:Array(UInt8)}}
          AND age_ms % {_DAY_MS} < {{window_ms:Int64}}
        GROUP BY app_id
    )
)
GROUP BY app
ORDER BY app
"""  # noqa: S608 - numbers of ours

# The fullest one. A disk without an end (object storage) has no total.
DISK = """
SELECT toInt64(free_space), toInt64(total_space) FROM system.disks
WHERE total_space BETWEEN 1 AND 9e18
ORDER BY free_space / total_space LIMIT 1
"""


class AppActivity(Struct, frozen=True):
    """What an app sent within the last minutes; how many of them, LIVE_SILENT_MINUTES says."""

    app_id: str  # "(other)": all apps beyond the busiest ones
    events: int
    events_usual: int  # the least of the same minutes of the last seven days


class DiskSpace(Struct, frozen=True):
    """Room on a disk."""

    free_bytes: int
    bytes: int


def apps_parameters(now_ms: int, minutes: int, apps_max: int) -> dict[str, Any]:
    """Return the parameters of the `minutes` (60 at most) before `now_ms`."""
    hours = {(now_ms - ago * _MINUTE_MS) // 3_600_000 % 24 for ago in (0, minutes)}
    return {
        "end_ms": now_ms,
        "window_ms": minutes * _MINUTE_MS,
        "hours": sorted(hours),
        "apps_max": apps_max,
    }


def apps(rows: Sequence[Sequence[Any]]) -> tuple[AppActivity, ...]:
    """Return what each app sent and usually sends at this time of the day."""
    return tuple(AppActivity(printable(app_id), counts[0], min(counts[1:])) for app_id, counts in rows)


def disk(rows: Sequence[Sequence[Any]]) -> DiskSpace | None:
    """Return the fullest disk; None: ClickHouse knows none that can fill."""
    return DiskSpace(*rows[0]) if rows else None
