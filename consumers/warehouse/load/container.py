"""Avro bodies as in Kafka -> one Avro object container file, without decoding them.

Invariants: the container's schema is the row's place in Kafka, as four fields, and the value's schema; so a
row is its head, the four numbers, and its body. Each row is its own block, which readers respect: an invalid
body affects only its own row. Source: Avro 1.12, "Object Container Files". Measured on one slow core: see
docs/decisions/0016-loader.md.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.catalog import wire
from schemas.catalog.catalog import Release
from schemas.catalog.table_names import table_name
from schemas.codec.varint import long

# A row's place in Kafka; `_appended_at` is the record's timestamp. The numbers of a topic come first, and are
# encoded once for all its records.
PLACE_FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "_log", "type": "int"},
    {"name": "_partition", "type": "int"},
    {"name": "_offset", "type": "long"},
    {"name": "_appended_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
)

# Any 16 bytes work: readers find the end of a block by its size.
_SYNC = b"tapline container"[:16]
_ONE = long(1)
_MORE = 0x80  # set in every byte of a number except the last
_SHAPE = frozenset({"type", "name", "fields", "items", "logicalType"})


@dataclass(frozen=True, slots=True)
class Format:
    """The constant parts of all containers of one release."""

    release: Release
    table: str
    columns: tuple[str, ...]  # columns of the table, in the order of the container's fields
    prefix: bytes  # of every Kafka value of this release
    header: bytes


def format_of(release: Release) -> Format:
    """Build the format of a release's containers."""
    schema = {"type": "record", "name": release.name, "fields": [*PLACE_FIELDS, *release.schema["fields"]]}
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
    """Build the container of rows; `parts`: their bodies and heads, alternating."""
    blocks = [form.header]
    for body, head in zip(parts[::2], parts[1::2], strict=True):
        blocks += (_ONE, long(len(head) + len(body)), head, body, _SYNC)
    return b"".join(blocks)


def head_of(log: int, partition: int) -> bytes:
    """Return the beginning of the heads of one partition's rows; offset and timestamp (ms) follow."""
    return long(log) + long(partition)


def place_of(head: bytes) -> tuple[int, int, int, int]:
    """Decode log, partition, offset and timestamp (ms) from a row's head."""
    numbers, number, shift = [], 0, 0
    for byte in head:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < _MORE:
            numbers.append((number >> 1) ^ -(number & 1))
            number = shift = 0
    log, partition, offset, appended_at = numbers
    return log, partition, offset, appended_at


def _stripped(avro: Any) -> Any:
    """Return the schema without documentation, because it is sent with every insert."""
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
