"""What Kafka, ClickHouse and ingest counted of today -> counts that add up. Pure.

Kafka counts records, ClickHouse distinct events, and neither stands still while the other is asked. So both
are asked for what was received before a moment a little past, by which all of it has usually been loaded.

Invariant: the parts of a balance add up to `acknowledged`, whenever they were looked at.
"""

from consumers.live.intake import SpoolStatus
from consumers.live.state import Balance, Day, Mark, Today

_DAY_MS = 86_400_000
# One moment for all that is asked within so long; it lies so far back that a healthy loader has come by.
_STEP_MS, _BACK_MS = 2_000, 2_000


def midnight_ms(now_ms: int) -> int:
    """Return when the day of `now_ms` began, UTC."""
    return now_ms // _DAY_MS * _DAY_MS


def settled_ms(now_ms: int) -> int:
    """Return the moment up to which is counted at `now_ms`; never before midnight."""
    return max(midnight_ms(now_ms), (now_ms - _BACK_MS) // _STEP_MS * _STEP_MS)


def balance(day: Day, mark: Mark, today: Today, spool: SpoolStatus | None) -> Balance | None:
    """Return where today's events are; `mark` is Kafka's count at `day.end_ms`.

    None: they are not of one day, or Kafka has not all records of the events that ClickHouse has (its topic
    was made anew), so nothing can add up.
    """
    placed = day.events + day.refused
    if today.start_ms != day.start_ms or today.records < placed:
        return None
    spooled = spool.records if spool else 0
    repeats = max(0, mark.records - placed - mark.waiting)
    return Balance(
        start_ms=day.start_ms,
        acknowledged=today.records + spooled,
        clickhouse=day.events,
        under_way=today.records - placed - repeats,
        spooled=spooled,
        refused=day.refused,
        repeats=repeats,
        turned_away=day.turned_away,
        settled_ms=day.end_ms,
    )
