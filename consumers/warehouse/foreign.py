"""A record that its checksum does not vouch for -> a row after all, or the reason why it is none.

Invariants: a value is taken only if it decodes to its last byte and what every event is guaranteed to have is
there; it is encoded again, so that only bytes of ours reach the engine's decoder, which does not notice every
damage. A record with a checksum that is wrong is damaged, whatever it decodes to. A damaged record of the
quarantine topic becomes a row of the quarantine itself, so that it never travels in a circle.
Source: DESIGN.md, "Data path".
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import fastavro
from fastavro.types import Schema

from consumers.warehouse.container import Format, place_of, registered
from consumers.warehouse.record import Record
from schemas import topics
from schemas.catalog import Catalog, Release
from schemas.events import encode_quarantine
from schemas.wire import HEADER_BYTES, checksum, prefix, wire_id_of

# 2010-01-01: what ingest takes. 2100-01-01: ClickHouse counts hours from 1970 to 2106.
EVENT_MS_MIN, EVENT_MS_MAX = 1_262_304_000_000, 4_102_444_800_000
# What DateTime64(3) shows in every version of ClickHouse: 1900 to 2299.
_SHOWN_MS_MIN, _SHOWN_MS_MAX = -2_208_988_800_000, 10_413_791_999_999

DAMAGED, UNKNOWN_SCHEMA, WRONG_TOPIC, INVALID, NO_VALUE, REFUSED = (
    "damaged",
    "unknown_schema",
    "wrong_topic",
    "invalid",
    "no_value",
    "refused",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that is no row, on its way to the quarantine."""

    reason: str  # one of the constants above
    detail: str
    body: bytes  # the value, verbatim
    received_at_ms: int  # the record's timestamp
    record: str  # topic/partition/offset
    app_id: str | None = None
    event_id: str | None = None
    is_ours: bool = False  # its checksum is right, so a producer of ours wrote it
    is_registered: bool = False  # the schema's id is a registry's


class _Unfit(Exception):  # noqa: N818 - ends one check
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class Check:
    """Checks records one by one."""

    def __init__(self, catalog: Catalog, forms: Iterable[Format]) -> None:
        self._catalog = catalog
        self._forms = {form.key: form for form in forms}
        self._plain = {release.schema_id: _plain(release.schema) for release in catalog.releases}

    def __call__(self, topic: str, record: Record) -> tuple[Format, bytes] | Refusal:
        """Return the record as a row (its format and body), or why it is none."""
        value, given = record.value(), _header(record, topics.CRC32)
        try:
            return self._row(topic, record, value, given)
        except _Unfit as unfit:
            refusal = Refusal(
                reason=unfit.reason,
                detail=unfit.detail,
                body=value or b"",
                received_at_ms=min(max(record.timestamp()[1], 0), _SHOWN_MS_MAX),
                record=f"{topic}/{record.partition()}/{record.offset()}",
                app_id=_text(record.key()),
                event_id=_text(_header(record, topics.EVENT_ID)),
                is_ours=value is not None and given == checksum(value),
                is_registered=_is_registered(record),
            )
        return self.kept(refusal) if topic == topics.QUARANTINE else refusal

    def kept(self, refusal: Refusal) -> tuple[Format, bytes]:
        """Return the refusal as a row of the quarantine."""
        form = self._forms[prefix(self._catalog.own.quarantine.wire_id)]
        return form, encode_refusal(self._catalog, refusal)[HEADER_BYTES:]

    def datum(self, form: Format, body: bytes) -> dict[str, Any]:
        """Return the fields of a row that is one; times as milliseconds."""
        return _decoded(self._plain[form.release.schema_id], form.prefix + body)

    def refused(self, form: Format, topic: str, row: tuple[bytes, bytes], detail: str) -> Refusal:
        """Return what becomes of a row (body and tail) that the engine refused."""
        body, tail = row
        partition, offset, appended_at = place_of(tail)
        value = form.prefix + body
        try:
            datum = _decoded(self._plain[form.release.schema_id], value)
        except _Unfit:
            datum = {}
        return Refusal(
            reason=REFUSED,
            detail=detail,
            body=value,
            received_at_ms=datum.get("received_at", appended_at),
            record=f"{topic}/{partition}/{offset}",
            app_id=datum.get("app_id"),
            event_id=datum.get("event_id"),
            is_registered=form.key != form.prefix,
        )

    def _row(
        self, topic: str, record: Record, value: bytes | None, given: bytes | None
    ) -> tuple[Format, bytes]:
        if value is None:
            raise _Unfit(NO_VALUE, "the record has no value")
        if given is not None and given != checksum(value):
            raise _Unfit(DAMAGED, "the value is not the one its header crc32 was made of")
        form = self._form(value, is_ours=given is not None, is_registered=_is_registered(record))
        release = form.release
        if (topic == topics.QUARANTINE) is not (release.schema_id == self._catalog.quarantine.schema_id):
            raise _Unfit(WRONG_TOPIC, f"{release.schema_id} does not belong into {topic}")
        schema = self._plain[release.schema_id]
        datum = _decoded(schema, value)
        _require(release, datum)
        return form, _encoded(schema, datum)

    def _form(self, value: bytes, *, is_ours: bool, is_registered: bool) -> Format:
        """Return the format that a value names; others' ids are the registry's if it has them, else ours."""
        wire_id = wire_id_of(value)
        if wire_id is None:
            raise _Unfit(DAMAGED, "the value does not begin with 0 and a schema's id")
        own = prefix(wire_id)
        keys = [registered(own)] if is_registered else [own] if is_ours else [registered(own), own]
        for key in keys:
            if key in self._forms:
                return self._forms[key]
        if is_registered and not self._catalog.is_registered:
            raise _Unfit(
                UNKNOWN_SCHEMA, f"{wire_id} is a registry's id: set SCHEMA_REGISTRY_URL as for ingest"
            )
        raise _Unfit(UNKNOWN_SCHEMA, f"no schema has the id {wire_id}")


def encode_refusal(catalog: Catalog, refusal: Refusal) -> bytes:
    """Return the Kafka value that keeps a refused record."""
    return encode_quarantine(
        catalog,
        received_at_ms=refusal.received_at_ms,
        app_id=refusal.app_id,
        event_id=refusal.event_id,
        reason=refusal.reason,
        detail=refusal.detail,
        pointer=None,
        source="warehouse",
        record=refusal.record,
        body=refusal.body,
    )


def _decoded(schema: Schema, value: bytes) -> dict[str, Any]:
    stream = io.BytesIO(value)
    stream.seek(HEADER_BYTES)
    try:
        datum = fastavro.schemaless_reader(stream, schema, None)
    except (EOFError, ValueError, IndexError, OverflowError, MemoryError, TypeError, KeyError) as error:
        raise _Unfit(DAMAGED, f"the value does not decode: {type(error).__name__}: {error}"[:500]) from error
    rest = len(value) - stream.tell()
    if rest or not isinstance(datum, dict):
        raise _Unfit(DAMAGED, f"{rest} bytes follow the end of the value")
    return datum


def _encoded(schema: Schema, datum: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, datum)
    return stream.getvalue()


def _require(release: Release, datum: dict[str, Any]) -> None:
    for field in release.schema["fields"]:
        name, avro = field["name"], field["type"]
        if avro == "string" and name != "detail" and not datum[name]:
            raise _Unfit(INVALID, f"{name} is empty")
        if isinstance(avro, dict) and avro["type"] == "record":
            _require_shown(avro["fields"], datum[name], f"{name}.")
    _require_shown(release.schema["fields"], datum)
    if release.family == "mobile" and datum["event_type"] != release.name:
        raise _Unfit(INVALID, f"event_type is not {release.name}, as the schema says")
    if "timestamp" in datum and not EVENT_MS_MIN <= datum["timestamp"] <= EVENT_MS_MAX:
        raise _Unfit(INVALID, f"timestamp {datum['timestamp']} lies before 2010 or after 2099")


def _require_shown(fields: list[dict[str, Any]], datum: dict[str, Any], block: str = "") -> None:
    for field in fields:
        number = datum[field["name"]]
        is_moment = "timestamp-millis" in str(field["type"]) and isinstance(number, int)
        if is_moment and not _SHOWN_MS_MIN <= number <= _SHOWN_MS_MAX:
            raise _Unfit(INVALID, f"{block}{field['name']} {number} lies before 1900 or after 2299")


def _plain(avro: Any) -> Any:
    """Return the schema with times as numbers: a datetime ends at the year 9999."""
    if isinstance(avro, dict):
        return {key: _plain(value) for key, value in avro.items() if key not in ("logicalType", "doc")}
    return [_plain(part) for part in avro] if isinstance(avro, list) else avro


def _is_registered(record: Record) -> bool:
    return any(name == topics.SCHEMA_REGISTRY for name, _ in record.headers() or ())


def _header(record: Record, name: str) -> bytes | None:
    return dict(record.headers() or ()).get(name)


def _text(given: bytes | None) -> str | None:
    return given.decode(errors="replace") if given else None
