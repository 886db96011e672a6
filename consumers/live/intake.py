"""State of ingest for the page: values only. Times are milliseconds since 1970."""

from msgspec import Struct


class SpoolStatus(Struct, frozen=True):
    """Records that await Kafka on ingest's disk."""

    records: int
    bytes: int
    bytes_max: int
    oldest_ms: int | None  # received_at of the oldest record; None: the spool is empty
    as_of_ms: int


class IngestStatus(Struct, frozen=True):
    """The answer of ingest."""

    detail: str
    spool: SpoolStatus
    as_of_ms: int
    topic_problems: tuple[str, ...] | None = None  # as text; None: unknown
