"""The state of the page, built from the answers of the components: values only.

Invariants: times are milliseconds since 1970 by the clock named in the field's comment; an unknown number is
None, never zero; a number that may be outdated comes with its time.
"""

from enum import StrEnum

from msgspec import Struct

from consumers.live.answers import AuditedAction, QuarantineSummary, ShopSummary, Total, Window
from consumers.live.intake import SpoolStatus
from runtime.version import VERSION

INGEST, KAFKA, WAREHOUSE, CLICKHOUSE, LIVE = "ingest", "kafka", "warehouse", "clickhouse", "live"


class PartitionLag(Struct, frozen=True):
    """One cell of the page's lag panel."""

    topic: str
    partition: int
    lag: int


class Lag(Struct, frozen=True):
    """Records in Kafka that await the loader."""

    records: int
    partitions: tuple[PartitionLag, ...]
    as_of_ms: int
    unloaded_ratio: float = (
        0.0  # the greatest of a partition; from 1 on, Kafka deletes records that are not loaded
    )


class ComponentHealth(StrEnum):
    """Whether a component answers."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Component(Struct, frozen=True):
    """One process of the pipeline."""

    name: str
    health: ComponentHealth
    detail: str
    since_ms: int  # time of the last change of `health`


class Freshness(Struct, frozen=True):
    """Age of the oldest event waiting on ingest's disk or in Kafka, at the time of the poll.

    0: none was waiting; None: unknown.
    """

    age_ms: int | None
    as_of_ms: int | None = None  # the older of the two polls; None: unknown, or the true age may be higher


class Balance(Struct, frozen=True):
    """The places of today's acknowledged events: the other counts add up to `acknowledged`."""

    start_ms: int  # midnight, UTC
    acknowledged: int
    clickhouse: int  # distinct events, received before `settled_ms`
    under_way: int  # received since then, or not loaded yet
    spooled: int
    refused: int
    repeats: int  # further records of an event that has one already; it counts once
    turned_away: int  # not among `acknowledged`
    settled_ms: int


class Replay(Struct, frozen=True):
    """One run of `consumers.replay` started by the page."""

    reason: str
    pointer: str
    source: str
    total: int  # rows that waited at the start
    placed: int
    stays: int
    started_ms: int
    ended_ms: int | None = None
    result: str = "running"  # | "done" | "stays" | "failed"
    words: tuple[str, ...] = ()  # its last lines of output


class EventLine(Struct, frozen=True):
    """One line of the newest events."""

    key: str
    received_at_ms: int
    event_type: str
    app_id: str
    device: str


class PageSnapshot(Struct, frozen=True):
    """Everything that a page shows."""

    now_ms: int
    refresh_ms: int
    freshness: Freshness
    components: tuple[Component, ...]
    window: Window | None
    total: Total | None
    balance: Balance | None
    quarantine: QuarantineSummary | None
    shop: ShopSummary | None
    audit: tuple[AuditedAction, ...] | None  # None: unknown
    troubles: dict[str, str]  # as in Tables
    lag: Lag | None
    spool: SpoolStatus | None
    topic_problems: tuple[str, ...] | None  # as text; None: unknown
    newest: tuple[EventLine, ...]
    replay: Replay | None
    version: str = VERSION  # of this process
