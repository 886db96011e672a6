"""Avro bodies as they lie in Kafka -> one Avro object container file, without decoding any of them.

Invariant: the container's schema is the value's schema plus three trailing fields, where a row was in Kafka;
so a row is its body and the three numbers behind it. Source: Avro 1.12, "Object Container Files". Measured on
one slow core: see DESIGN.md, "Data path".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.catalog import wire
from schemas.catalog.catalog import Release, table_name
from schemas.codec.varint import long

# Where a row was in Kafka; `_appended_at` is the record's timestamp.
PLACE_FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "_partition", "type": "int"},
    {"name": "_offset", "type": "long"},
    {"name": "_appended_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
)

# Any 16 bytes do: readers find the end of a block by its size.
_SYNC = b"tapline container"[:16]
_MORE = 0x80  # set in every byte of a number but the last
_SHAPE = frozenset({"type", "name", "fields", "items", "logicalType"})


@dataclass(frozen=True, slots=True)
class Format:
    """What every container of one release has in common."""

    release: Release
    table: str
    columns: tuple[str, ...]  # of the table, by name, as the container fills them
    prefix: bytes  # of every Kafka value of this release
    header: bytes


def format_of(release: Release) -> Format:
    """Return the format of a release's containers."""
    schema = {"type": "record", "name": release.name, "fields": [*release.schema["fields"], *PLACE_FIELDS]}
    text = json.dumps(_stripped(schema), separators=(",", ":")).encode()
    entries = ((b"avro.schema", text), (b"avro.codec", b"null"))
    metadata = b"".join(long(len(part)) + part for entry in entries for part in entry)
    return Format(
        release=release,
        table=table_name(release.name),
        columns=tuple(_columns(schema["fields"])),
        prefix=wire.prefix(release.wire_id),
        header=b"Obj\x01" + long(len(entries)) + metadata + long(0) + _SYNC,
    )


def container(form: Format, parts: Sequence[bytes]) -> bytes:
    """Return the container of rows whose bodies and tails lie in `parts` by turns."""
    count, block_bytes = len(parts) // 2, sum(map(len, parts))
    return b"".join((form.header, long(count), long(block_bytes), *parts, _SYNC))


def place_of(tail: bytes) -> tuple[int, int, int]:
    """Return partition, offset and timestamp (ms) out of what follows a row's body."""
    numbers, number, shift = [], 0, 0
    for byte in tail:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < _MORE:
            numbers.append((number >> 1) ^ -(number & 1))
            number = shift = 0
    partition, offset, appended_at = numbers
    return partition, offset, appended_at


def _stripped(avro: Any) -> Any:
    """Return the schema without words for people: it is sent with every insert."""
    if isinstance(avro, dict):
        return {key: _stripped(value) for key, value in avro.items() if key in _SHAPE}
    return [_stripped(part) for part in avro] if isinstance(avro, list) else avro


def _columns(fields: Sequence[dict[str, Any]], block: str = "") -> list[str]:
    names: list[str] = []
    for field in fields:
        avro, name = field["type"], f"{block}{field['name']}"
        is_block = isinstance(avro, dict) and avro["type"] == "record"
        names += _columns(avro["fields"], f"{name}.") if is_block else [name]
    return names
