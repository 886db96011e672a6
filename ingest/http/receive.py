"""One POST body -> `Accepted` or `Rejected`, each with its Kafka record. Pure.

Invariants: no clock, no socket; every body becomes exactly one record, for the events topic or the quarantine
topic. Source: docs/webhook.md.
"""

import codecs
from collections.abc import Mapping

import msgspec

from ingest.delivery.quarantined import QuarantineCause, quarantine_record
from ingest.delivery.record import OutgoingRecord
from runtime import probe
from runtime.kafka import record_key, topics
from runtime.kafka.record_headers import RecordHeaders
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.catalog.event_time import AHEAD_MS_MAX, EVENT_MS_MIN
from schemas.catalog.wire_ids import registered
from schemas.codec.events import Decoded, EventDecoder, FieldFault, Invalid, NotJson
from schemas.codec.redaction import Redaction

_ENCODING_LENGTH_MAX = 100  # truncates a header that is otherwise unbounded


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event that fits a table."""

    record: OutgoingRecord
    app_id: str
    event_type: str  # name of the released schema: bounded, so fit for a metric label
    odd: tuple[str, ...]  # paths of known fields whose value did not fit
    unknown: int  # number of fields unknown to the schema


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A body that cannot be placed; `record` goes to the quarantine."""

    record: OutgoingRecord
    app_id: str | None
    status: int  # HTTP status; 200 for a probe, which is deliberately no event
    reason: str  # "not_json" | "invalid_field" | "time_out_of_range" | "content_encoding" | "probe"
    detail: str
    faults: tuple[FieldFault, ...]


class BodyOrigin(msgspec.Struct, frozen=True, gc=False):
    """Where a body came from, stored in the quarantine: a replay has no more rights than its sender."""

    apps: frozenset[str] = frozenset()  # apps that the token may post for; empty: every app
    content_encoding: str = ""  # encoding that the body still has
    traceparent: bytes | None = None  # the sender's trace, which its record names too


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why a body goes into the quarantine."""

    status: int
    reason: str
    detail: str


_UNBOUND = BodyOrigin()


class Receiver:
    """The rules of acceptance, compiled once from the released schemas."""

    def __init__(
        self,
        catalog: Catalog,
        redaction: Redaction | None = None,
        key_of: record_key.KeyOf = record_key.of_app,
    ) -> None:
        self._catalog = catalog
        self._redaction = redaction
        self._key_of = key_of
        self._decoder = EventDecoder(catalog, redaction=redaction)

    def receive(
        self, body: bytes, headers: Mapping[str, str], now_ms: int, origin: BodyOrigin = _UNBOUND
    ) -> Accepted | Rejected:
        """Accept or reject `body`. `now_ms`: the receive time in milliseconds since 1970."""
        try:
            # A byte order mark is not valid JSON, but some senders start with one.
            event = self._decoder.decode(body.removeprefix(codecs.BOM_UTF8), headers)
        except NotJson as error:
            return self.reject(body, Rejection(400, "not_json", error.detail), now_ms, origin)
        except Invalid as error:
            return self._invalid(body, error, "invalid_field", now_ms, origin)
        if event.event_type == probe.EVENT_TYPE:
            return self._probe(body, event, now_ms)
        fault = _time_fault(event, now_ms)
        if fault:
            known = Invalid((fault,), event.app_id, event.event_id, event.event_type)
            return self._invalid(body, known, "time_out_of_range", now_ms, origin)
        return Accepted(
            self._event_record(event, now_ms, origin),
            event.app_id,
            event.release.name,
            event.odd,
            len(event.unknown),
        )

    def reject(self, body: bytes, why: Rejection, now_ms: int, origin: BodyOrigin) -> Rejected:
        """Reject a body of which nothing is known."""
        record = self._quarantine_record(body, Invalid((), None, None, None), why, now_ms, origin)
        return Rejected(record, None, why.status, why.reason, why.detail, ())

    def _probe(self, body: bytes, event: Decoded, now_ms: int) -> Rejected:
        """Reject a probe, to keep it out of every event table; any token may send one."""
        known = Invalid((), None, event.event_id, event.event_type)
        why = Rejection(200, probe.REASON, "a probe, not an event")
        record = self._quarantine_record(body, known, why, now_ms, _UNBOUND)
        return Rejected(record, None, why.status, why.reason, why.detail, ())

    def _event_record(self, event: Decoded, now_ms: int, origin: BodyOrigin) -> OutgoingRecord:
        value, own_prefix = registered(self._catalog, event.encode(now_ms))
        headers = RecordHeaders(
            event.schema_id,
            now_ms,
            wire.checksum(value),
            event.event_type,
            event.event_id,
            own_prefix,
            origin.traceparent,
        )
        key = self._key_of(event.app_id, event.event.device_id)
        return OutgoingRecord(topics.EVENTS, key, value, headers.pairs(), now_ms)

    def _invalid(self, body: bytes, error: Invalid, reason: str, now_ms: int, origin: BodyOrigin) -> Rejected:
        detail = "; ".join(f"{fault.pointer or '(whole body)'}: {fault.detail}" for fault in error.faults)
        record = self._quarantine_record(body, error, Rejection(422, reason, detail), now_ms, origin)
        return Rejected(record, error.app_id, 422, reason, detail, error.faults)

    def _quarantine_record(
        self, body: bytes, known: Invalid, why: Rejection, now_ms: int, origin: BodyOrigin
    ) -> OutgoingRecord:
        kept = self._redaction.body(body) if self._redaction else body
        encoding = origin.content_encoding[:_ENCODING_LENGTH_MAX] if kept == body else ""
        if why.reason == probe.REASON:
            kept = kept[: probe.BYTES_MAX]
        cause = QuarantineCause(
            why.reason,
            why.detail,
            app_id=known.app_id,
            event_id=known.event_id,
            event_type=known.event_type,
            pointer=known.faults[0].pointer if known.faults else None,
            allowed_app_ids="|".join(sorted(origin.apps)) or None,
            content_encoding=encoding or None,
            traceparent=origin.traceparent,
        )
        return quarantine_record(self._catalog, kept, cause, now_ms)


def _time_fault(event: Decoded, now_ms: int) -> FieldFault | None:
    at = event.timestamp_ms
    if at is None or EVENT_MS_MIN <= at <= now_ms + AHEAD_MS_MAX:
        return None
    return FieldFault(
        f"/{event.time_member}",
        f"must be a time from 2010 to 7 days ahead of now; got {at} milliseconds since 1970",
    )
