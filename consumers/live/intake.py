"""What ingest answered, for the page: values only. Times are milliseconds since 1970."""

from msgspec import Struct


class SpoolStatus(Struct, frozen=True):
    """What awaits Kafka on ingest's disk."""

    records: int
    bytes: int
    bytes_max: int
    oldest_ms: int | None  # received_at of the oldest record; None: none waits
    as_of_ms: int


class IngestStatus(Struct, frozen=True):
    """What ingest answered."""

    detail: str
    spool: SpoolStatus
    as_of_ms: int
    topic_problems: tuple[str, ...] | None = None  # in words; None: not known
