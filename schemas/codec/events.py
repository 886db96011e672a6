"""The body of one POST -> an event that can encode itself as a Kafka value, or the reason for refusing it.

Invariants: a JSON object with the required fields is always an event, and nothing that was sent is lost (see
`lenient`). Time is bounded by the body's size. Event times are not checked here: there is no clock. Source:
docs/decisions/0006-lenient-decoding.md.

The usual body takes one pass of a decoder over the newest release of every event type. If that fails (an
unknown type, field or version, an invalid value, damage), the slow path decides. Bodies that would take too
long there (see `jsontext.is_heavy`) are kept untyped as one text: see `unexamined`.
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
from schemas.codec.lenient import Leftovers, Members
from schemas.codec.redaction import Redaction, redact

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
    unknown: tuple[str, ...] = ()  # paths unknown to the schema
    time_member: str = "timestamp"  # the member that `timestamp_ms` was read from

    @property
    def release(self) -> Release:
        """The release that encodes the event."""
        return self.codec.release

    def encode(self, received_at_ms: int) -> bytes:
        """Encode as a Kafka value. `received_at_ms`: milliseconds since 1970."""
        return self.codec.encode(self.event, received_at_ms, self.extra)


class EventDecoder:
    """The decoders of all releases in a catalog, compiled once."""

    def __init__(
        self, catalog: Catalog, *, is_bounded: bool = True, redaction: Redaction | None = None
    ) -> None:
        """`is_bounded`: keep heavy bodies untyped; repairs, which may take long, set it to False.

        `redaction`: of every event, before anything else sees it.
        """
        self._is_bounded = is_bounded
        self._redaction = redaction
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
        self._steps = {codec.struct: redaction.steps(codec) for codec in newest} if redaction else {}
        self._unmodelled = by_schema_id[catalog.unmodelled.schema_id]
        self._clickstream = by_schema_id[catalog.clickstream.schema_id]
        union: Any = newest[0].struct
        for codec in newest[1:]:
            union = union | codec.struct
        self._strict = msgspec.json.Decoder(union).decode
        self._head = unexamined.reader((*self._unmodelled.fields, *self._clickstream.fields))

    def decode(self, body: bytes, headers: Mapping[str, str]) -> Decoded:
        """Decode `body`; a clickstream event also needs its `headers`, with lower-case names.

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
        if self._steps:
            redact(event, self._steps[codec.struct])
        return Decoded(codec, event, event.app_id, event.event_id, release.name, schema_id, event.timestamp)

    def _decode_slowly(self, body: bytes, headers: Mapping[str, str]) -> Decoded:
        if self._is_bounded and jsontext.is_heavy(body):
            return self._unexamined(body, headers)
        members = self._redacted(members_of_body(body))
        if "event" in members and "event_type" not in members:
            given, rest = clickstream_envelope(members, self._redacted_headers(members, headers))
            read = lenient.read(self._clickstream, rest, given, Leftovers())
            return _decoded(self._clickstream, given["event"], *read)
        given, rest, left = mobile_envelope(members)
        event_type = given["event_type"]
        codec = self._codec(event_type, lenient.text_at(members, "metadata", "schema_id"))
        return _decoded(codec, event_type, *lenient.read(codec, rest, given, left))

    def _unexamined(self, body: bytes, headers: Mapping[str, str]) -> Decoded:
        if self._redaction:
            body = msgspec.json.encode(self._redacted(members_of_body(body)))
        members = members_of_body(body, self._head)
        if "event" in members and "event_type" not in members:
            given, rest = clickstream_envelope(members, self._redacted_headers(members, headers))
            codec, event_type = self._clickstream, given["event"]
        else:
            given, rest, _ = mobile_envelope(members)
            codec, event_type = self._unmodelled, given["event_type"]
        whole = Leftovers({unexamined.PATH: rest.pop(unexamined.PATH)}, unknown=[unexamined.PATH])
        event, _ = lenient.read(codec, rest, given, Leftovers())
        return _decoded(codec, event_type, event, whole)

    def _redacted(self, members: Members) -> Members:
        return self._redaction.members(members) if self._redaction else members

    def _redacted_headers(self, members: Members, headers: Mapping[str, str]) -> Mapping[str, str]:
        event = lenient.scalar_text(members["event"]) or ""
        return self._redaction.headers(event, headers) if self._redaction else headers

    def _codec(self, event_type: str, schema_id: str | None) -> Codec:
        """Return the codec for a schema id, else of the newest version, else of unmodelled events."""
        exact = self._by_schema_id.get(schema_id or "")
        if exact and (exact.release.family, exact.release.name) == ("mobile", event_type):
            return exact
        return self._by_event_type.get(event_type, self._unmodelled)


def _reader(exact: Codec, codecs: list[Codec]) -> Codec:
    """Return the newest version that has every field of the requested one.

    Tapcart adds fields without a new version; fields of our newer version become columns for all events.
    """
    release, needed = exact.release, schema_model.leaves(exact.release.schema).keys()
    able = [
        codec
        for codec in codecs
        if (codec.release.family, codec.release.name) == (release.family, release.name)
        and needed <= schema_model.leaves(codec.release.schema).keys()
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
    """Return the schema_id as sent, or the release's if it is too long for a record header."""
    return sent if len(sent.encode()) <= ID_BYTES_MAX else release.schema_id


def encode_quarantine(catalog: Catalog, *, received_at_ms: int, **fields: str | bytes | None) -> bytes:
    """Encode a Quarantine record; the keywords are its fields except `received_at`.

    Fields that the newest release lacks are left out, because a schemas folder may be older than this code.
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
    # An undecodable name or header, as Python represents it, must not keep a body from the quarantine.
    return text.encode("utf-8", "backslashreplace").decode()
