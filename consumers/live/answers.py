"""The answers of ClickHouse and Kafka to the page's queries: values only.

Invariants: times are milliseconds since 1970 by the clock named in the field's comment; an unknown number is
None, never zero; a number that may be outdated comes with its time.
"""

from msgspec import Struct

from consumers.live.app_activity import AppActivity, DiskSpace

BUCKET_MS = 5_000
BUCKETS = 180
WINDOW_MS = BUCKET_MS * BUCKETS


class EventType(Struct, frozen=True):
    """The events of one type in the window."""

    event_type: str
    count: int
    buckets: tuple[int, ...]  # oldest first, BUCKETS of them


class Window(Struct, frozen=True):
    """The distinct queryable events received since `start_ms`, by event type."""

    start_ms: int  # by received_at; start of the first bucket
    end_ms: int  # time of the query
    bucket_ms: int
    count: int
    per_second: float  # over the last 60 s
    buckets: tuple[int, ...]
    types: tuple[EventType, ...]
    other: int  # events of types beyond those listed
    delay_p50_ms: int | None  # from received_at to _loaded_at
    delay_p99_ms: int | None
    delays_p50_ms: tuple[int | None, ...]  # the same for each bucket
    delays_p99_ms: tuple[int | None, ...]


class Total(Struct, frozen=True):
    """All queryable events."""

    count: int
    newest_received_at_ms: int | None
    as_of_ms: int


class Day(Struct, frozen=True):
    """ClickHouse's count of the records received from `start_ms` on and before `end_ms`."""

    start_ms: int  # midnight, UTC
    end_ms: int
    events: int  # distinct
    refused: int  # acknowledged events that the loader rejected; they are in the quarantine
    turned_away: int  # bodies that ingest answered 400 or 422; they are in the quarantine
    as_of_ms: int


class QuarantineGroup(Struct, frozen=True):
    """Quarantined bodies with the same fault."""

    reason: str
    pointer: str  # JSON pointer of the first fault; "": the whole body, or unknown
    source: str  # the component that refused it
    count: int
    waiting: int  # not replayed yet
    newest_ms: int  # by received_at
    detail: str  # of the newest, redacted
    sample: str  # key of the newest body


class QuarantineSummary(Struct, frozen=True):
    """Counts of the quarantine."""

    count: int
    waiting: int
    groups: tuple[QuarantineGroup, ...]  # the most frequent; they need not add up to `count`
    as_of_ms: int


class Funnel(Struct, frozen=True):
    """Devices of one app that reached each step, in order, on one day."""

    day: str  # YYYY-MM-DD, as the views count
    app_id: str
    opened: int
    viewed: int
    added: int
    checkout: int
    ordered: int


class Revenue(Struct, frozen=True):
    """Orders of one app and currency on one day."""

    day: str
    app_id: str
    currency_code: str
    orders: int
    revenue: str  # decimal
    unmatched: int  # orders reported only by the app or only by the shop's server


class ShopSummary(Struct, frozen=True):
    """The analytics of today and yesterday. None: the view does not exist."""

    today: str  # YYYY-MM-DD
    time_zone: str  # of `today`
    funnel: tuple[Funnel, ...] | None
    revenue: tuple[Revenue, ...] | None
    as_of_ms: int


class AuditedAction(Struct, frozen=True):
    """One line of the audit trail: an action, and how it stands."""

    audit_id: str
    at_ms: int  # of its last step
    action: str
    state: str  # started | done | failed
    actor: str
    count: int | None
    detail: str


class ClickHouseStatus(Struct, frozen=True):
    """The answers of ClickHouse."""

    window: Window | None = None
    total: Total | None = None
    day: Day | None = None
    quarantine: QuarantineSummary | None = None
    shop: ShopSummary | None = None
    audit: tuple[AuditedAction, ...] | None = None  # the newest first
    apps: tuple[AppActivity, ...] = ()
    disk: DiskSpace | None = None  # the fullest
    insert_share: float | None = None  # of the last seconds, in which ClickHouse was executing inserts
    samples: dict[str, str] = {}  # Group.sample -> that body as redacted text
    troubles: dict[str, str] = {}  # query name -> why there is no newer answer


class PartitionPosition(Struct, frozen=True):
    """The loader's position in one partition."""

    topic: str
    partition: int
    next_offset: int  # the first offset that is not loaded
    end_offset: int  # Kafka's high watermark
    start_offset: int = 0  # the first offset that Kafka still has

    @property
    def lag(self) -> int:
        """The number of records not loaded."""
        return max(0, self.end_offset - self.next_offset)

    @property
    def unloaded_ratio(self) -> float:
        """The share of the retained records that is not loaded; 0 as long as Kafka has deleted none."""
        return self.lag / max(1, self.end_offset - self.start_offset) if self.start_offset else 0.0


class Mark(Struct, frozen=True):
    """The records of events that Kafka received today before `at_ms`."""

    at_ms: int
    records: int
    waiting: int  # of these, the number not loaded at the time of the poll


class Today(Struct, frozen=True):
    """The records of events that Kafka received since midnight, UTC."""

    start_ms: int
    records: int
    marks: tuple[Mark, ...]  # the newest last


class RedactedEvent(Struct, frozen=True):
    """One event record, decoded and redacted."""

    key: str  # partition-offset
    received_at_ms: int
    timestamp_ms: int | None
    event_type: str
    app_id: str
    device: str
    fields: bytes  # JSON: path -> value; null values are left out


class KafkaStatus(Struct, frozen=True):
    """The answers of Kafka."""

    partitions: tuple[PartitionPosition, ...]
    loaders: int  # members of the loader's group
    oldest_waiting_ms: int | None  # received_at of the oldest record not loaded; None: none, or unknown
    as_of_ms: int
    today: Today | None = None
    newest: tuple[RedactedEvent, ...] = ()  # the newest first
