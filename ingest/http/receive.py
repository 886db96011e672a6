"""One POST body -> `Accepted` or `Rejected`, each with the Kafka record that keeps it. Pure.

Invariants: no clock, no socket; every body ends in exactly one record, for the events topic or the
quarantine. Source: "HTTP answers" in DESIGN.md.
"""

from collections.abc import Mapping

import msgspec

from ingest.delivery.quarantined import Cause, quarantine_record
from ingest.delivery.record import Record
from schemas import probe, topics
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.catalog.wire_ids import registered
from schemas.codec.events import Decoded, EventDecoder, Fault, Invalid, NotJson

# 2010-01-01T00:00:00Z: before Tapcart existed; ClickHouse would wrap far dates silently.
_TIMESTAMP_MS_MIN = 1_262_304_000_000
# Phones' clocks run ahead; a week is more than any that can be believed.
_AHEAD_MS_MAX = 7 * 24 * 3600 * 1000


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event that has its place in a table."""

    record: Record
    app_id: str
    event_type: str  # the released schema's name: bounded, fit for a metric's label
    odd: tuple[str, ...]  # paths of known fields whose value did not fit
    unknown: int  # how many fields the schema does not know


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A body that cannot be placed; `record` puts it into the quarantine."""

    record: Record
    app_id: str | None
    status: int  # HTTP status; 200 for a probe, which is no event by intent
    reason: str  # "not_json" | "invalid_field" | "time_out_of_range" | "content_encoding" | "probe"
    detail: str
    faults: tuple[Fault, ...]


class Receiver:
    """The rules of what is accepted, compiled once from the released schemas."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._decoder = EventDecoder(catalog)

    def receive(self, body: bytes, headers: Mapping[str, str], now_ms: int) -> Accepted | Rejected:
        """Return where `body` belongs. `now_ms`: milliseconds since 1970, taken as the receive time."""
        try:
            event = self._decoder.decode(body, headers)
        except NotJson as error:
            return self.reject(body, 400, "not_json", error.detail, now_ms)
        except Invalid as error:
            return self._invalid(body, error, "invalid_field", now_ms)
        if event.event_type == probe.EVENT_TYPE:
            return self._probe(body, event, now_ms)
        fault = _time_fault(event, now_ms)
        if fault:
            known = Invalid((fault,), event.app_id, event.event_id, event.event_type)
            return self._invalid(body, known, "time_out_of_range", now_ms)
        return Accepted(
            self._event_record(event, now_ms), event.app_id, event.release.name, event.odd, len(event.unknown)
        )

    def reject(self, body: bytes, status: int, reason: str, detail: str, now_ms: int) -> Rejected:
        """Return the rejection of a body nothing is known of."""
        record = self._quarantine_record(body, Invalid((), None, None, None), reason, detail, now_ms)
        return Rejected(record, None, status, reason, detail, ())

    def _probe(self, body: bytes, event: Decoded, now_ms: int) -> Rejected:
        """Return what keeps a probe out of every table of events; any token may send one."""
        known = Invalid((), None, event.event_id, event.event_type)
        detail = "a probe, no event"
        record = self._quarantine_record(body[: probe.BYTES_MAX], known, probe.REASON, detail, now_ms)
        return Rejected(record, None, 200, probe.REASON, detail, ())

    def _event_record(self, event: Decoded, now_ms: int) -> Record:
        value, numbering = registered(self._catalog, event.encode(now_ms))
        headers = [
            (topics.SCHEMA_ID, event.schema_id.encode()),
            (topics.EVENT_TYPE, event.event_type.encode()),
            (topics.EVENT_ID, event.event_id.encode()),
            (topics.RECEIVED_AT_MS, b"%d" % now_ms),
            (topics.CRC32, wire.checksum(value)),
        ]
        return Record(topics.EVENTS, event.app_id.encode(), value, headers + numbering, now_ms)

    def _invalid(self, body: bytes, error: Invalid, reason: str, now_ms: int) -> Rejected:
        detail = "; ".join(f"{fault.pointer or '(whole body)'}: {fault.detail}" for fault in error.faults)
        record = self._quarantine_record(body, error, reason, detail, now_ms)
        return Rejected(record, error.app_id, 422, reason, detail, error.faults)

    def _quarantine_record(
        self, body: bytes, known: Invalid, reason: str, detail: str, now_ms: int
    ) -> Record:
        cause = Cause(
            reason,
            detail,
            app_id=known.app_id,
            event_id=known.event_id,
            event_type=known.event_type,
            pointer=known.faults[0].pointer if known.faults else None,
        )
        return quarantine_record(self._catalog, body, cause, now_ms)


def _time_fault(event: Decoded, now_ms: int) -> Fault | None:
    at = event.timestamp_ms
    if at is None or _TIMESTAMP_MS_MIN <= at <= now_ms + _AHEAD_MS_MAX:
        return None
    return Fault(
        f"/{event.time_member}",
        f"must be a time from 2010 to 7 days ahead of now; got {at} milliseconds since 1970",
    )
