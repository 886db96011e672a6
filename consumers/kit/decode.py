"""A record's value -> its release and its fields, or the reason why it has none. Pure.

Invariants: a value is accepted only if its checksum is correct or missing and it decodes to its last byte.
Times are milliseconds since 1970, because a datetime ends at the year 9999. fastavro decodes.
"""

import io
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import fastavro
from fastavro.types import Schema

from consumers.kit.record import Record
from runtime.kafka import record_headers, record_key
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.event_time import EVENT_MS_MAX, EVENT_MS_MIN, SHOWN_MS_MAX, SHOWN_MS_MIN
from schemas.catalog.schema_model import ID_BYTES_MAX, IDS, OPTIONAL
from schemas.catalog.wire import HEADER_BYTES, checksum
from schemas.codec.events import encode_quarantine

DAMAGED, UNKNOWN_SCHEMA, WRONG_TOPIC, INVALID, NO_VALUE, REFUSED, SET_ASIDE = (
    "damaged",
    "unknown_schema",
    "wrong_topic",
    "invalid",
    "no_value",
    "refused",
    "set_aside",
)


_MAY_BE_EMPTY = OPTIONAL | {"detail"}
_BOUNDED = frozenset({*IDS, "event"})  # `event` is a clickstream event's type
_TIMES = ("timestamp", "received_at")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An invalid record on its way to the quarantine."""

    reason: str  # one of the constants above
    detail: str
    body: bytes  # the value, verbatim; with our own id if the record's id belongs to a registry
    received_at_ms: int  # the record's timestamp
    record: str  # topic/partition/offset
    app_id: str | None = None
    event_id: str | None = None
    is_ours: bool = False  # its checksum is correct, so one of our producers wrote it
    source: str = "warehouse"  # the component that refused it
    traceparent: bytes | None = None  # the trace that the record names


class InvalidRecordError(Exception):
    """The reason why a value is invalid."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def sound(value: bytes | None, given: bytes | None) -> bytes:
    """Check the value; `given`: the header crc32. Raises: InvalidRecordError."""
    if value is None:
        raise InvalidRecordError(NO_VALUE, "the record has no value")
    if given is not None and given != checksum(value):
        raise InvalidRecordError(DAMAGED, "the value does not match its header crc32")
    return value


def fields_of(release: Release, value: bytes) -> dict[str, Any]:
    """Decode a value that `release` wrote. Raises: InvalidRecordError."""
    stream = io.BytesIO(value)
    datum = _read(plain(release.text), stream)
    if rest := len(value) - stream.tell():
        raise InvalidRecordError(DAMAGED, f"{rest} bytes follow the end of the value")
    return datum


def times_of(release: Release, value: bytes) -> tuple[int | None, int]:
    """Return an event's own time, if it has one, and its time of receipt, in milliseconds since 1970.

    Only the fields up to them are decoded. Raises: InvalidRecordError.
    """
    datum = _read(_beginning(release.text), io.BytesIO(value))
    return datum.get("timestamp"), datum.get("received_at", 0)


def require(release: Release, datum: dict[str, Any]) -> None:
    """Check the same as ingest: required fields, ids, times. Raises: InvalidRecordError."""
    for field in release.schema["fields"]:
        name, avro = field["name"], field["type"]
        if avro == "string" and name not in _MAY_BE_EMPTY and not datum[name]:
            raise InvalidRecordError(INVALID, f"{name} is empty")
        if name in _BOUNDED and len((datum[name] or "").encode()) > ID_BYTES_MAX:
            raise InvalidRecordError(INVALID, f"{name} is longer than {ID_BYTES_MAX} bytes")
        if isinstance(avro, dict) and avro["type"] == "record":
            _require_shown(avro["fields"], datum[name], f"{name}.")
    _require_shown(release.schema["fields"], datum)
    if release.family == "mobile" and datum["event_type"] != release.name:
        raise InvalidRecordError(INVALID, f"event_type is not {release.name}, as the schema says")
    if "timestamp" in datum and not EVENT_MS_MIN <= datum["timestamp"] <= EVENT_MS_MAX:
        raise InvalidRecordError(INVALID, f"timestamp {datum['timestamp']} lies before 2010 or after 2099")


def refusal_of(error: InvalidRecordError, topic: str, record: Record, source: str = "warehouse") -> Refusal:
    """Build the quarantine entry for an invalid record."""
    value = record.value()
    is_ours = value is not None and header(record, record_headers.CRC32) == checksum(value)
    own = record_headers.own_prefix(record.headers()) if is_ours else None
    return Refusal(
        reason=error.reason,
        detail=error.detail,
        body=own + value[HEADER_BYTES:] if own and value else value or b"",
        received_at_ms=min(max(record.timestamp()[1], 0), SHOWN_MS_MAX),
        record=f"{topic}/{record.partition()}/{record.offset()}",
        app_id=text(record_key.app_id_of(record.key())),
        event_id=text(header(record, record_headers.EVENT_ID)),
        is_ours=is_ours,
        source=source,
        traceparent=record_headers.sound_traceparent(header(record, record_headers.TRACEPARENT)),
    )


def encode_refusal(catalog: Catalog, refusal: Refusal) -> bytes:
    """Encode a refused record as a value for the quarantine topic."""
    return encode_quarantine(
        catalog,
        received_at_ms=refusal.received_at_ms,
        app_id=refusal.app_id,
        event_id=refusal.event_id,
        reason=refusal.reason,
        detail=refusal.detail,
        pointer=None,
        source=refusal.source,
        record=refusal.record,
        body=refusal.body,
        traceparent=refusal.traceparent.decode() if refusal.traceparent else None,
    )


@lru_cache(maxsize=256)
def plain(schema: str) -> Schema:
    """Parse a release's schema text, with times as numbers."""
    return fastavro.parse_schema(_plain(json.loads(schema)))


@lru_cache(maxsize=256)
def _beginning(schema: str) -> Schema:
    """Parse a release's schema text up to the last of its times."""
    record = _plain(json.loads(schema))
    names = [field["name"] for field in record["fields"]]
    last = max((names.index(name) for name in _TIMES if name in names), default=-1)
    return fastavro.parse_schema({**record, "fields": record["fields"][: last + 1]})


def is_registered(record: Record) -> bool:
    """Return whether the value starts with a registry's schema id."""
    return record_headers.own_prefix(record.headers()) is not None


def header(record: Record, name: str) -> bytes | None:
    """Return a header, or None; the last one of a name counts."""
    return record_headers.get(record.headers(), name)


def text(given: bytes | None) -> str | None:
    """Decode a key or header, truncated to the length of an id; None if it is empty."""
    if not given:
        return None
    # A byte that is not UTF-8 becomes a character of three bytes.
    return given[:ID_BYTES_MAX].decode(errors="replace").encode()[:ID_BYTES_MAX].decode(errors="ignore")


def _read(schema: Schema, stream: io.BytesIO) -> dict[str, Any]:
    stream.seek(HEADER_BYTES)
    try:
        datum = fastavro.schemaless_reader(stream, schema, None)
    except (EOFError, ValueError, IndexError, OverflowError, MemoryError, TypeError, KeyError) as error:
        raise InvalidRecordError(
            DAMAGED, f"the value is undecodable: {type(error).__name__}: {error}"[:500]
        ) from error
    return cast("dict[str, Any]", datum)


def _plain(avro: Any) -> Any:
    if isinstance(avro, dict):
        return {key: _plain(value) for key, value in avro.items() if key not in ("logicalType", "doc")}
    return [_plain(part) for part in avro] if isinstance(avro, list) else avro


def _require_shown(fields: list[dict[str, Any]], datum: dict[str, Any], block: str = "") -> None:
    for field in fields:
        number = datum[field["name"]]
        is_moment = "timestamp-millis" in str(field["type"]) and isinstance(number, int)
        if is_moment and not SHOWN_MS_MIN <= number <= SHOWN_MS_MAX:
            raise InvalidRecordError(
                INVALID, f"{block}{field['name']} {number} lies before 1900 or after 2299"
            )
