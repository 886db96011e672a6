"""A body that cannot be placed, and the reason -> its record for the quarantine topic. Pure."""

import msgspec

from ingest.delivery.record import OutgoingRecord
from runtime.kafka import record_headers, record_key, topics
from runtime.kafka.record_headers import RecordHeaders
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.catalog.wire_ids import registered
from schemas.codec.events import encode_quarantine

_SOURCE = "ingest"
# Stands for partition and offset if the record has none: `replay` then loads its value without Kafka.
_NO_PLACE = "/-1/-1"


class QuarantineCause(msgspec.Struct, frozen=True, gc=False):
    """Why a body is quarantined, and the known fields of its event."""

    reason: str  # one word of a fixed list
    detail: str
    app_id: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    pointer: str | None = None  # JSON pointer of the first fault
    source: str = _SOURCE
    record: str | None = None  # topic/partition/offset
    allowed_app_ids: str | None = None  # apps that the sender's token was bound to, separated by `|`
    content_encoding: str | None = None  # encoding that the bytes still have
    traceparent: bytes | None = None  # the sender's trace


def quarantine_record(catalog: Catalog, body: bytes, cause: QuarantineCause, now_ms: int) -> OutgoingRecord:
    """Build the quarantine record. `now_ms`: the receive time in milliseconds since 1970."""
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
        traceparent=cause.traceparent.decode() if cause.traceparent else None,
    )
    value, own_prefix = registered(catalog, encoded)
    headers = RecordHeaders(
        catalog.quarantine.schema_id,
        now_ms,
        wire.checksum(value),
        cause.event_type,
        cause.event_id,
        own_prefix,
        cause.traceparent,
    )
    return OutgoingRecord(topics.QUARANTINE, (cause.app_id or "").encode(), value, headers.pairs(), now_ms)


def of_damage(catalog: Catalog, data: bytes, detail: str, now_ms: int) -> OutgoingRecord:
    """Build the quarantine record of bytes that the spool cannot read."""
    return quarantine_record(catalog, data, QuarantineCause("damaged", detail, source="spool"), now_ms)


def of_refused(catalog: Catalog, refused: OutgoingRecord, detail: str) -> OutgoingRecord:
    """Build the quarantine record of a record that Kafka refuses, in the loader's format."""
    named = dict(refused.headers)
    own = record_headers.own_prefix(refused.headers)
    cause = QuarantineCause(
        "refused",
        detail,
        app_id=(record_key.app_id_of(refused.key) or b"").decode(errors="replace"),
        event_id=named.get(record_headers.EVENT_ID, b"").decode(errors="replace") or None,
        event_type=named.get(record_headers.EVENT_TYPE, b"").decode(errors="replace") or None,
        source="spool",
        record=refused.topic + _NO_PLACE,
        traceparent=named.get(record_headers.TRACEPARENT),
    )
    value = own + refused.value[wire.HEADER_BYTES :] if own else refused.value
    return quarantine_record(catalog, value, cause, refused.timestamp_ms)
