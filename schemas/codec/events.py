"""The body of one POST -> one event, which encodes itself as a Kafka value; or why it is none.

Invariants: a JSON object with the required fields is always an event, and nothing that was sent is lost
(see `lenient`); the time that it takes is bounded by its size. Times are not judged here: there is no clock.
Source: DESIGN.md, "Schemas".

The usual body takes one pass of a decoder over the newest release of every event type. Whatever that refuses
(an unknown type, field or version, a value that does not fit, damage) takes the slow path, which finds out.
What would be too much work there (see `jsontext.is_heavy`) is kept untyped, as one text: see `unexamined`.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_model import ID_BYTES_MAX
from schemas.codec import jsontext, lenient, unexamined
from schemas.codec.compiler import Codec, compile_release
from schemas.codec.envelope import (
    FieldFault,
    Invalid,
    NotJson,
    clickstream_envelope,
    members_of_body,
    mobile_envelope,
)
from schemas.codec.lenient import Leftovers

__all__ = ["Decoded", "EventDecoder", "FieldFault", "Invalid", "NotJson", "encode_quarantine"]


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """One event."""

    codec: Codec
    event: Any  # the codec's Struct
    app_id: str
    event_id: str
    event_type: str  # as sent
    schema_id: str  # as sent, else the release's; at most ID_BYTES_MAX
    timestamp_ms: int | None  # since 1970; None for clickstream events, which have none
    extra: bytes | None = None  # JSON text
    odd: tuple[str, ...] = ()  # paths of known fields whose value did not fit
    unknown: tuple[str, ...] = ()  # paths that the schema does not have
    time_member: str = "timestamp"  # the member that `timestamp_ms` was read from

    @property
    def release(self) -> Release:
        """The release that the event is encoded by."""
        return self.codec.release

    def encode(self, received_at_ms: int) -> bytes:
        """Return the Kafka value. `received_at_ms`: milliseconds since 1970."""
        return self.codec.encode(self.event, received_at_ms, self.extra)


class EventDecoder:
    """The decoder of every release in a catalog, compiled once."""

    def __init__(self, catalog: Catalog, *, is_bounded: bool = True) -> None:
        """`is_bounded`: whether heavy bodies are kept untyped; what nobody waits for may take its time."""
        self._is_bounded = is_bounded
        codecs = [compile_release(release) for release in catalog.releases]
        by_schema_id = {codec.release.schema_id: codec for codec in codecs}
        self._by_schema_id = {codec.release.schema_id: _reader(codec, codecs) for codec in codecs}
        newest = [
            by_schema_id[release.schema_id]
            for release in catalog.newest_releases()
            if release.family == "mobile"
        ]
        self._by_event_type = {codec.release.name: codec for codec in newest}
        self._by_struct = {codec.struct: codec for codec in newest}
        self._unmodelled = by_schema_id[catalog.unmodelled.schema_id]
        self._clickstream = by_schema_id[catalog.clickstream.schema_id]
        union: Any = newest[0].struct
        for codec in newest[1:]:
            union = union | codec.struct
        self._strict = msgspec.json.Decoder(union).decode
        self._head = unexamined.reader((*self._unmodelled.fields, *self._clickstream.fields))

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Decoded:
        """Return the event in `body`; `headers` (lower-case names) tell more of a clickstream event.

        Raises: NotJson, Invalid.
        """
        try:
            event = self._strict(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._decode_slowly(body, headers)
        codec = self._by_struct[type(event)]
        release = codec.release
        schema_id = (event.metadata and event.metadata.schema_id) or release.schema_id
        if schema_id != release.schema_id:
            if self._codec(release.name, schema_id) is not codec:
                return self._decode_slowly(body, headers)
            schema_id = _schema_id(schema_id, release)
        return Decoded(codec, event, event.app_id, event.event_id, release.name, schema_id, event.timestamp)

    def _decode_slowly(self, body: bytes, headers: Mapping[str, str]) -> Decoded:
        if self._is_bounded and jsontext.is_heavy(body):
            return self._unexamined(body, headers)
        members = members_of_body(body)
        if "event" in members and "event_type" not in members:
            given, rest = clickstream_envelope(members, headers)
            read = lenient.read(self._clickstream, rest, given, Leftovers())
            return _decoded(self._clickstream, given["event"], *read)
        given, rest, left = mobile_envelope(members)
        event_type = given["event_type"]
        codec = self._codec(event_type, lenient.text_at(members, "metadata", "schema_id"))
        return _decoded(codec, event_type, *lenient.read(codec, rest, given, left))

    def _unexamined(self, body: bytes, headers: Mapping[str, str]) -> Decoded:
        members = members_of_body(body, self._head)
        if "event" in members and "event_type" not in members:
            given, rest = clickstream_envelope(members, headers)
            codec, event_type = self._clickstream, given["event"]
        else:
            given, rest, _ = mobile_envelope(members)
            codec, event_type = self._unmodelled, given["event_type"]
        whole = Leftovers({unexamined.PATH: rest.pop(unexamined.PATH)}, unknown=[unexamined.PATH])
        event, _ = lenient.read(codec, rest, given, Leftovers())
        return _decoded(codec, event_type, event, whole)

    def _codec(self, event_type: str, schema_id: str | None) -> Codec:
        """Return the codec that reads the version asked for, else the newest's, else that of no type."""
        asked = self._by_schema_id.get(schema_id or "")
        if asked and (asked.release.family, asked.release.name) == ("mobile", event_type):
            return asked
        return self._by_event_type.get(event_type, self._unmodelled)


def _reader(asked: Codec, codecs: list[Codec]) -> Codec:
    """Return the newest version that has every field of the one asked for.

    Tapcart adds fields without a new version: those that our newer version has are columns for all events.
    """
    release, wanted = asked.release, schema_model.leaves(asked.release.schema).keys()
    able = [
        codec
        for codec in codecs
        if (codec.release.family, codec.release.name) == (release.family, release.name)
        and wanted <= schema_model.leaves(codec.release.schema).keys()
    ]
    return max(able, key=lambda codec: codec.release.version)


def _decoded(codec: Codec, event_type: str, event: Any, left: Leftovers) -> Decoded:
    metadata, release = getattr(event, "metadata", None), codec.release
    return Decoded(
        codec,
        event,
        event.app_id,
        event.event_id,
        event_type,
        _schema_id((metadata and metadata.schema_id) or release.schema_id, release),
        getattr(event, "timestamp", None),
        left.json(),
        tuple(left.odd),
        tuple(left.unknown),
        left.time_member,
    )


def _schema_id(sent: str, release: Release) -> str:
    """Return the schema_id as sent: it becomes a header of the record, unless it is too long for one."""
    return sent if len(sent.encode()) <= ID_BYTES_MAX else release.schema_id


def encode_quarantine(catalog: Catalog, *, received_at_ms: int, **fields: str | bytes | None) -> bytes:
    """Return the Kafka value of a Quarantine record, whose fields but `received_at` are the keywords.

    Fields that the newest release does not have yet are left out: a folder of schemas may be older than this.
    """
    codec = _quarantine_codec(catalog)
    sound = {
        name: _encodable(value) if isinstance(value, str) else value
        for name, value in fields.items()
        if name in codec.struct.__struct_fields__
    }
    return codec.encode(codec.struct(**sound), received_at_ms, None)


@lru_cache(maxsize=4)
def _quarantine_codec(catalog: Catalog) -> Codec:
    return compile_release(catalog.quarantine)


def _encodable(text: str) -> str:
    # What Python made of an undecodable name or header must not keep a body from the quarantine.
    return text.encode("utf-8", "backslashreplace").decode()
