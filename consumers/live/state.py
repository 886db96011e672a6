"""What was seen of each component -> one state of the page, and its JSON.

Invariants: times are milliseconds since 1970 by the clock named in the field's comment; a number that is
not known is None, never zero; a component that does not answer keeps its last numbers, with the time they
are of.
"""

from enum import StrEnum

from msgspec import Struct

BUCKET_MS = 15_000
BUCKETS = 60
WINDOW_MS = BUCKET_MS * BUCKETS

INGEST, KAFKA, LOADER, CLICKHOUSE = "ingest", "kafka", "loader", "clickhouse"


class EventType(Struct, frozen=True):
    """The events of one type that the window holds."""

    event_type: str
    count: int
    buckets: tuple[int, ...]  # oldest first, BUCKETS of them


class Window(Struct, frozen=True):
    """The distinct events received since `start_ms` that can be queried, by event type."""

    start_ms: int  # by received_at; start of the first bucket
    end_ms: int  # when ClickHouse was asked
    bucket_ms: int
    count: int
    per_second: float  # over the last 60 s
    buckets: tuple[int, ...]
    types: tuple[EventType, ...]
    other: int  # events of types beyond those listed
    delay_p50_ms: int | None  # from received_at to _loaded_at
    delay_p99_ms: int | None


class Total(Struct, frozen=True):
    """All events that can be queried."""

    count: int
    newest_received_at_ms: int | None
    as_of_ms: int


class Reason(Struct, frozen=True):
    """Why events are in the quarantine, and how many."""

    reason: str
    count: int
    waiting: int  # not replayed yet


class Quarantine(Struct, frozen=True):
    """What could not be placed."""

    count: int
    waiting: int
    reasons: tuple[Reason, ...]  # the most frequent; they need not add up to `count`
    as_of_ms: int


class Tables(Struct, frozen=True):
    """What ClickHouse answered."""

    window: Window | None = None
    total: Total | None = None
    quarantine: Quarantine | None = None


class Partition(Struct, frozen=True):
    """How far the loader is behind in one partition."""

    topic: str
    partition: int
    next_offset: int  # the first offset that is not loaded
    end_offset: int  # Kafka's high watermark

    @property
    def lag(self) -> int:
        """Return the number of records not loaded."""
        return max(0, self.end_offset - self.next_offset)


class Log(Struct, frozen=True):
    """What Kafka answered."""

    partitions: tuple[Partition, ...]
    loaders: int  # members of the loader's group
    oldest_waiting_ms: int | None  # received_at of the oldest record not loaded; None: none, or not known
    as_of_ms: int


class Intake(Struct, frozen=True):
    """What ingest answered."""

    detail: str
    spool_oldest_ms: int | None  # received_at of the oldest record that waits on disk; None: none does
    as_of_ms: int


class PartitionLag(Struct, frozen=True):
    """One cell of the page's lag."""

    topic: str
    partition: int
    lag: int


class Lag(Struct, frozen=True):
    """Records that wait in Kafka for the loader."""

    records: int
    partitions: tuple[PartitionLag, ...]
    as_of_ms: int


class Health(StrEnum):
    """Whether a component answers."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Component(Struct, frozen=True):
    """One process the pipeline is made of."""

    name: str
    health: Health
    detail: str
    since_ms: int  # when `health` became what it is


class Freshness(Struct, frozen=True):
    """Age of the oldest event that waited, on ingest's disk or in Kafka, when these were asked.

    0: none did; None: not known.
    """

    age_ms: int | None


class State(Struct, frozen=True):
    """All that a page shows."""

    now_ms: int
    refresh_ms: int
    freshness: Freshness
    components: tuple[Component, ...]
    window: Window | None
    total: Total | None
    quarantine: Quarantine | None
    lag: Lag | None


class Board:
    """The latest look at each component. Components are shown in the order they are named in."""

    def __init__(self, components: tuple[str, ...], now_ms: int, refresh_ms: int) -> None:
        self._refresh_ms = refresh_ms
        self._components = {
            name: Component(name, Health.UNKNOWN, "not looked at yet", now_ms) for name in components
        }
        self._tables = Tables()
        self._log: Log | None = None
        self._intake: Intake | None = None

    @property
    def ready(self) -> bool:
        """Return whether ClickHouse has answered once."""
        return self._tables.window is not None

    @property
    def away(self) -> tuple[Component, ...]:
        """Return the components that do not answer."""
        return tuple(c for c in self._components.values() if c.health is not Health.UP)

    def saw(self, name: str, seen: Tables | Log | Intake, now_ms: int) -> bool:
        """Take what a component answered; return whether that is new."""
        if isinstance(seen, Tables):
            self._tables = seen
        elif isinstance(seen, Log):
            self._log = seen
            self._judge_loader(seen, now_ms)
        else:
            self._intake = seen
        return self._set(name, Health.UP, seen.detail if isinstance(seen, Intake) else "answers", now_ms)

    def lost(self, name: str, detail: str, now_ms: int) -> bool:
        """Take that a component did not answer; return whether that is new."""
        if name == KAFKA:
            self._set(LOADER, Health.UNKNOWN, "only Kafka knows whether it runs", now_ms)
        return self._set(name, Health.DOWN, detail, now_ms)

    def state(self, now_ms: int) -> State:
        """Return the state of the page at `now_ms`."""
        return State(
            now_ms=now_ms,
            refresh_ms=self._refresh_ms,
            freshness=self._freshness(),
            components=tuple(self._components.values()),
            window=self._tables.window,
            total=self._tables.total,
            quarantine=self._tables.quarantine,
            lag=_lag(self._log) if self._log else None,
        )

    def _judge_loader(self, log: Log, now_ms: int) -> None:
        if log.loaders:
            self._set(
                LOADER, Health.UP, "1 process" if log.loaders == 1 else f"{log.loaders} processes", now_ms
            )
        else:
            self._set(LOADER, Health.DOWN, "no process has joined its consumer group", now_ms)

    def _set(self, name: str, health: Health, detail: str, now_ms: int) -> bool:
        before = self._components[name]
        changed = before.health is not health
        self._components[name] = Component(name, health, detail, now_ms if changed else before.since_ms)
        return changed

    def _freshness(self) -> Freshness:
        spooled, waiting = self._spooled_ms(), self._waiting_ms()
        if waiting is None:
            return Freshness(spooled or None)  # at least that old
        return Freshness(max(spooled or 0, waiting))

    def _spooled_ms(self) -> int | None:
        ingest, intake = self._components.get(INGEST), self._intake
        if ingest is None or ingest.health is not Health.UP or intake is None:
            return None
        return max(0, intake.as_of_ms - intake.spool_oldest_ms) if intake.spool_oldest_ms else 0

    def _waiting_ms(self) -> int | None:
        if self._log is None or self._components[KAFKA].health is not Health.UP:
            return None
        if not any(partition.lag for partition in self._log.partitions):
            return 0
        oldest_ms = self._log.oldest_waiting_ms
        return None if oldest_ms is None else max(0, self._log.as_of_ms - oldest_ms)


def _lag(log: Log) -> Lag:
    cells = tuple(PartitionLag(p.topic, p.partition, p.lag) for p in log.partitions)
    return Lag(sum(cell.lag for cell in cells), cells, log.as_of_ms)
