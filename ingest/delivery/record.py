"""What ingest hands over: one message for Kafka."""

import msgspec


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message for Kafka; the same bytes whether it goes there at once or by way of the spool."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp_ms: int  # becomes the Kafka message's timestamp
