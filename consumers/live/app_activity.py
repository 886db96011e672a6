"""Data for alerts that the page does not show: silent apps, and free disk space of ClickHouse.

Invariants: the number of apps is bounded; those beyond it count together. An app's usual number of events is
the minimum of the same minutes of the last seven days, so nights, weekends and new apps do not count as
silence. Events count by their own time. Duplicates count again, which does not matter for detecting zero
events. The tables are ordered by hour, so the rest of each day stays unread.
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
"""  # noqa: S608 - our own numbers

# The fullest disk. Unlimited disks (object storage) have no total.
DISK = """
SELECT toInt64(free_space), toInt64(total_space) FROM system.disks
WHERE total_space BETWEEN 1 AND 9e18
ORDER BY free_space / total_space LIMIT 1
"""


class AppActivity(Struct, frozen=True):
    """Events that an app sent within the last LIVE_SILENT_MINUTES."""

    app_id: str  # "(other)": all apps beyond the busiest ones
    events: int
    events_usual: int  # minimum of the same minutes of the last seven days


class DiskSpace(Struct, frozen=True):
    """Capacity of a disk."""

    free_bytes: int
    bytes: int


def apps_parameters(now_ms: int, minutes: int, apps_max: int) -> dict[str, Any]:
    """Return query parameters for the `minutes` (60 at most) before `now_ms`."""
    hours = {(now_ms - ago * _MINUTE_MS) // 3_600_000 % 24 for ago in (0, minutes)}
    return {
        "end_ms": now_ms,
        "window_ms": minutes * _MINUTE_MS,
        "hours": sorted(hours),
        "apps_max": apps_max,
    }


def apps(rows: Sequence[Sequence[Any]]) -> tuple[AppActivity, ...]:
    """Parse the current and usual number of events of each app."""
    return tuple(AppActivity(printable(app_id), counts[0], min(counts[1:])) for app_id, counts in rows)


def disk(rows: Sequence[Sequence[Any]]) -> DiskSpace | None:
    """Parse the fullest disk; None: ClickHouse has no limited disk."""
    return DiskSpace(*rows[0]) if rows else None
