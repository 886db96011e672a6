"""The headers of our Kafka records: their names, their order, and how they are read.

Invariant: we write `crc32` last, or right before `schema_registry`; they are read in any order.
Source: the public contract in docs/clients.md.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

SCHEMA_ID = "schema_id"
EVENT_TYPE = "event_type"
EVENT_ID = "event_id"
RECEIVED_AT_MS = "received_at_ms"  # as text
TRACEPARENT = "traceparent"  # of W3C Trace Context, as the sender of the event gave it
CRC32 = "crc32"  # of the whole value: 4 bytes, big-endian
# If the value begins with an id of the registry at SCHEMA_REGISTRY_URL: the five bytes with which it would
# begin by our own ids, so that it is readable without any registry.
SCHEMA_REGISTRY = "schema_registry"

# Version 00 of W3C Trace Context: 55 characters, of which the ids are not all zeros.
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_PREFIX_BYTES, _MAGIC = 5, 0  # as in schemas.catalog.wire

Headers = Iterable[tuple[str, bytes | None]]


class RecordHeaders(msgspec.Struct, frozen=True, gc=False):
    """The headers of a record that we write."""

    schema_id: str
    received_at_ms: int
    crc32: bytes
    event_type: str | None = None
    event_id: str | None = None
    own_prefix: bytes | None = None  # header `schema_registry`
    traceparent: bytes | None = None

    def pairs(self) -> list[tuple[str, bytes]]:
        """Return the headers in order; those without a value are left out."""
        pairs = [(SCHEMA_ID, self.schema_id.encode())]
        if self.event_type:
            pairs.append((EVENT_TYPE, self.event_type.encode()))
        if self.event_id:
            pairs.append((EVENT_ID, self.event_id.encode()))
        pairs.append((RECEIVED_AT_MS, b"%d" % self.received_at_ms))
        if self.traceparent:
            pairs.append((TRACEPARENT, self.traceparent))
        pairs.append((CRC32, self.crc32))
        if self.own_prefix:
            pairs.append((SCHEMA_REGISTRY, self.own_prefix))
        return pairs


def get(headers: Headers | None, name: str) -> bytes | None:
    """Return the value of a header, the last of that name; None if there is none."""
    return dict(headers or ()).get(name)


def has(headers: Headers | None, name: str) -> bool:
    """Return whether there is a header of that name, with or without a value."""
    return any(found == name for found, _ in headers or ())


def sound_traceparent(given: bytes | None) -> bytes | None:
    """Return a `traceparent` as it was given, or None unless it is one of version 00."""
    return given if given and _TRACEPARENT.fullmatch(given) else None


def own_prefix(headers: Headers | None) -> bytes | None:
    """Return the header `schema_registry`, if it is one of ours: beside a checksum, and a prefix of a value.

    Another producer's header of that name has no meaning, for none of our readers.
    """
    named = dict(headers or ())
    return _own_prefix(named) if CRC32 in named else None


def crc32_and_own_prefix(
    headers: Sequence[tuple[str, bytes | None]] | None,
) -> tuple[bytes | None, bytes | None]:
    """Return the headers `crc32` and `schema_registry`, in whatever order a producer wrote them."""
    named = dict(headers or ())
    return named.get(CRC32), _own_prefix(named)


def _own_prefix(named: dict[str, bytes | None]) -> bytes | None:
    own = named.get(SCHEMA_REGISTRY)
    return own if own and len(own) == _PREFIX_BYTES and own[0] == _MAGIC else None
