"""Today's counts from Kafka, ClickHouse and ingest -> one balance that adds up. Pure.

Kafka counts records and ClickHouse distinct events, and both change between the queries. So both count what
was received before a moment shortly past, by which time all of it has usually been loaded.

Invariant: the parts of a balance add up to `acknowledged`, whenever they were read.
"""

from consumers.live.answers import Day, Mark, Today
from consumers.live.intake import SpoolStatus
from consumers.live.state import Balance

_DAY_MS = 86_400_000
# The moment advances in these steps, this far behind now, so that a healthy loader has caught up with it.
_STEP_MS, _BACK_MS = 2_000, 2_000


def midnight_ms(now_ms: int) -> int:
    """Return the start of the day of `now_ms`, UTC."""
    return now_ms // _DAY_MS * _DAY_MS


def settled_ms(now_ms: int) -> int:
    """Return the moment up to which to count at `now_ms`; never before midnight."""
    return max(midnight_ms(now_ms), (now_ms - _BACK_MS) // _STEP_MS * _STEP_MS)


def balance(day: Day, mark: Mark, today: Today, spool: SpoolStatus | None) -> Balance | None:
    """Return where today's events are; `mark` is Kafka's count at `day.end_ms`.

    None: the counts are of different days, or Kafka lacks records of events in ClickHouse, because its topic
    was recreated.
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
