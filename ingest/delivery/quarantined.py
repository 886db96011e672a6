"""Bytes that cannot be placed, and why -> the record that keeps them in the quarantine topic. Pure."""

import msgspec

from ingest.delivery.record import Record
from runtime.kafka import topics
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.catalog.wire_ids import registered
from schemas.codec.events import encode_quarantine

_SOURCE = "ingest"
# The place of a record that has none in its topic: `replay` loads its value without going through Kafka.
_NO_PLACE = "/-1/-1"


class Cause(msgspec.Struct, frozen=True, gc=False):
    """Why bytes are in the quarantine, and what is known of the event that they are of."""

    reason: str  # one word of a fixed list
    detail: str
    app_id: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    pointer: str | None = None  # JSON pointer of the first fault
    source: str = _SOURCE
    record: str | None = None  # topic/partition/offset
    allowed_app_ids: str | None = None  # that its sender's token was bound to, `|` between them
    content_encoding: str | None = None  # that the bytes still have


def quarantine_record(catalog: Catalog, body: bytes, cause: Cause, now_ms: int) -> Record:
    """Return the record. `now_ms`: milliseconds since 1970, taken as the receive time."""
    encoded = encode_quarantine(
        catalog,
        received_at_ms=now_ms,
        app_id=cause.app_id,
        event_id=cause.event_id,
        reason=cause.reason,
        detail=cause.detail,
        pointer=cause.pointer,
        source=cause.source,
        record=cause.record,
        body=body,
        allowed_app_ids=cause.allowed_app_ids,
        content_encoding=cause.content_encoding,
    )
    value, numbering = registered(catalog, encoded)
    headers = [
        (topics.SCHEMA_ID, catalog.quarantine.schema_id.encode()),
        (topics.RECEIVED_AT_MS, b"%d" % now_ms),
        (topics.CRC32, wire.checksum(value)),
    ]
    if cause.event_type:
        headers.append((topics.EVENT_TYPE, cause.event_type.encode()))
    if cause.event_id:
        headers.append((topics.EVENT_ID, cause.event_id.encode()))
    headers += numbering
    return Record(topics.QUARANTINE, (cause.app_id or "").encode(), value, headers, now_ms)


def of_damage(catalog: Catalog, data: bytes, detail: str, now_ms: int) -> Record:
    """Return the record that keeps bytes which the spool cannot read."""
    return quarantine_record(catalog, data, Cause("damaged", detail, source="spool"), now_ms)


def of_refused(catalog: Catalog, refused: Record, detail: str) -> Record:
    """Return the record that keeps the value of one that Kafka refuses, as the loader keeps its own."""
    named = dict(refused.headers)
    own = named.get(topics.SCHEMA_REGISTRY)
    cause = Cause(
        "refused",
        detail,
        app_id=refused.key.decode(errors="replace"),
        event_id=named.get(topics.EVENT_ID, b"").decode(errors="replace") or None,
        event_type=named.get(topics.EVENT_TYPE, b"").decode(errors="replace") or None,
        source="spool",
        record=refused.topic + _NO_PLACE,
    )
    value = own + refused.value[wire.HEADER_BYTES :] if own else refused.value
    return quarantine_record(catalog, value, cause, refused.timestamp_ms)
