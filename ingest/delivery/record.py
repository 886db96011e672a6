"""One Kafka message, as ingest delivers it."""

import msgspec


class OutgoingRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One Kafka message; its bytes are the same whether it is sent directly or spooled first."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp_ms: int  # becomes the Kafka message's timestamp
