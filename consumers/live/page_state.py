"""Polls of the components -> the state of the page at any time.

Invariants: a component that does not answer keeps its last numbers, with their time; its health is that of
the last poll alone.
"""

from consumers.live.answers import (
    ClickHouseStatus,
    Day,
    KafkaStatus,
    Mark,
    RedactedEvent,
)
from consumers.live.balance import balance
from consumers.live.intake import IngestStatus
from consumers.live.state import (
    CLICKHOUSE,
    INGEST,
    KAFKA,
    LIVE,
    WAREHOUSE,
    Balance,
    Component,
    ComponentHealth,
    EventLine,
    Freshness,
    Lag,
    PageSnapshot,
    PartitionLag,
    Replay,
)

ALL = (INGEST, KAFKA, WAREHOUSE, CLICKHOUSE, LIVE)
_NEWEST_MAX = 15


class PageState:
    """The latest result of each component, in display order."""

    def __init__(self, components: tuple[str, ...], now_ms: int, refresh_ms: int) -> None:
        self._refresh_ms = refresh_ms
        self._components = {
            name: Component(name, ComponentHealth.UNKNOWN, "not polled yet", now_ms) for name in components
        }
        if LIVE in components:
            self._set(LIVE, ComponentHealth.UP, "serves this page", now_ms)
        self._tables = ClickHouseStatus()
        self._log: KafkaStatus | None = None
        self._intake: IngestStatus | None = None
        self._account: tuple[Day, Mark] | None = None  # both counted up to the same moment
        self.replay: Replay | None = None

    @property
    def ready(self) -> bool:
        """Whether ClickHouse has answered once."""
        return self._tables.window is not None

    @property
    def away(self) -> tuple[Component, ...]:
        """The components that do not answer."""
        return tuple(c for c in self._components.values() if c.health is not ComponentHealth.UP)

    @property
    def tables(self) -> ClickHouseStatus:
        """The latest answer of ClickHouse."""
        return self._tables

    def event(self, key: str) -> RedactedEvent | None:
        """Return an event that is still among the newest."""
        newest = self._log.newest if self._log else ()
        return next((event for event in newest if event.key == key), None)

    def saw(self, name: str, seen: ClickHouseStatus | KafkaStatus | IngestStatus, now_ms: int) -> bool:
        """Store a component's answer; return whether its health changed."""
        if isinstance(seen, ClickHouseStatus):
            self._tables = seen
        elif isinstance(seen, KafkaStatus):
            self._log = seen
            self._judge_warehouse(seen, now_ms)
        else:
            self._intake = seen
        self._settle()
        return self._set(name, ComponentHealth.UP, _detail(seen), now_ms)

    def lost(self, name: str, detail: str, now_ms: int) -> bool:
        """Record that a component did not answer; return whether its health changed."""
        if name == KAFKA:
            self._set(WAREHOUSE, ComponentHealth.UNKNOWN, "unknown while Kafka is down", now_ms)
        return self._set(name, ComponentHealth.DOWN, detail, now_ms)

    def state(self, now_ms: int) -> PageSnapshot:
        """Return the state of the page at `now_ms`."""
        log, intake = self._log, self._intake
        return PageSnapshot(
            now_ms=now_ms,
            refresh_ms=self._refresh_ms,
            freshness=self._freshness(),
            components=tuple(self._components.values()),
            window=self._tables.window,
            total=self._tables.total,
            balance=self._balance(),
            quarantine=self._tables.quarantine,
            shop=self._tables.shop,
            audit=self._tables.audit,
            troubles=self._tables.troubles,
            lag=_lag(log) if log else None,
            spool=intake.spool if intake else None,
            topic_problems=intake.topic_problems if intake else None,
            newest=_briefs(log) if log else (),
            replay=self.replay,
        )

    def _settle(self) -> None:
        """Keep the newest day that Kafka has a mark for."""
        day, today = self._tables.day, self._log.today if self._log else None
        if day is None or today is None or (self._account and self._account[0] == day):
            return
        mark = next((mark for mark in today.marks if mark.at_ms == day.end_ms), None)
        if mark is not None:
            self._account = day, mark

    def _balance(self) -> Balance | None:
        today = self._log.today if self._log else None
        if self._account is None or today is None:
            return None
        return balance(*self._account, today, self._intake.spool if self._intake else None)

    def _judge_warehouse(self, log: KafkaStatus, now_ms: int) -> None:
        if log.loaders:
            running = "1 process" if log.loaders == 1 else f"{log.loaders} processes"
            self._set(WAREHOUSE, ComponentHealth.UP, running, now_ms)
        else:
            self._set(WAREHOUSE, ComponentHealth.DOWN, "no process has joined its consumer group", now_ms)

    def _set(self, name: str, health: ComponentHealth, detail: str, now_ms: int) -> bool:
        before = self._components[name]
        changed = before.health is not health
        self._components[name] = Component(name, health, detail, now_ms if changed else before.since_ms)
        return changed

    def _freshness(self) -> Freshness:
        ages = [self._waiting_ms(), *([self._spooled_ms()] if INGEST in self._components else [])]
        oldest_ms = max((age for age in ages if age is not None), default=0)
        if self._log is None or None in ages:
            return Freshness(oldest_ms or None)  # a lower bound: a silent component may have an older event
        looks = [self._log.as_of_ms, *([self._intake.as_of_ms] if self._intake else [])]
        return Freshness(oldest_ms, min(looks))

    def _spooled_ms(self) -> int | None:
        if self._intake is None or self._components[INGEST].health is not ComponentHealth.UP:
            return None
        oldest_ms = self._intake.spool.oldest_ms
        return max(0, self._intake.as_of_ms - oldest_ms) if oldest_ms else 0

    def _waiting_ms(self) -> int | None:
        if self._log is None or self._components[KAFKA].health is not ComponentHealth.UP:
            return None
        if not any(partition.lag for partition in self._log.partitions):
            return 0
        oldest_ms = self._log.oldest_waiting_ms
        return None if oldest_ms is None else max(0, self._log.as_of_ms - oldest_ms)


def _detail(seen: ClickHouseStatus | KafkaStatus | IngestStatus) -> str:
    if isinstance(seen, IngestStatus):
        return seen.detail
    if isinstance(seen, ClickHouseStatus) and seen.troubles:
        return "answers, but not to all queries: " + "; ".join(
            f"{name} {why}" for name, why in seen.troubles.items()
        )
    if isinstance(seen, ClickHouseStatus) and seen.insert_share is not None:
        return f"answers; inserts take {seen.insert_share:.0%} of the time"
    return "answers"


def _lag(log: KafkaStatus) -> Lag:
    cells = tuple(PartitionLag(p.topic, p.partition, p.lag) for p in log.partitions)
    ratio = max((p.unloaded_ratio for p in log.partitions), default=0.0)
    return Lag(sum(cell.lag for cell in cells), cells, log.as_of_ms, ratio)


def _briefs(log: KafkaStatus) -> tuple[EventLine, ...]:
    return tuple(
        EventLine(event.key, event.received_at_ms, event.event_type, event.app_id, event.device)
        for event in log.newest[:_NEWEST_MAX]
    )
