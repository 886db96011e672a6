"""An Avro record schema -> its fields as Tapline uses them, and its problems for Tapline.

Invariant: `compiler` can compile a schema without problems, and ClickHouse can read its data. Tapline
supports a part of Avro: text, whole numbers, moments, booleans, bytes, lists of text, and blocks (records of
nullable fields, never null themselves, because ClickHouse fills no columns from a null record). Records have
no namespace: a subject is `<topic>-<record name>`. Source: docs/decisions/0012-schema-releases.md.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.catalog.columns import NUMBERS, repeated

# Fields added on receipt: members of an event with these names are unknown fields.
OURS = ("received_at", "extra")

TEXT, INTEGER, MOMENT, BOOLEAN, BYTES, LIST, BLOCK = (
    "text",
    "integer",
    "moment",
    "boolean",
    "bytes",
    "list",
    "block",
)

_KINDS: dict[str, str] = {"string": TEXT, "long": INTEGER, "boolean": BOOLEAN, "bytes": BYTES}
_MOMENT = {"type": "long", "logicalType": "timestamp-millis"}
_LIST = {"type": "array", "items": "string"}

# Texts that identify events, and their length limit: they become keys, headers, labels and text on pages.
IDS = ("event_type", "event_id", "app_id", "device_id", "session_id")
ID_BYTES_MAX = 1024
# Not nullable in the releases, although an event may lack one: it is empty then.
OPTIONAL = frozenset({"device_id"})

# Avro's rule, without a leading underscore: such names belong to the loader. fastavro does not check names.
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")

# msgspec can find these in JSON without unescaping.
MEMBER = re.compile(r'[^"\\\x00-\x1f]+')

_ENVELOPE = {
    "event_type": (TEXT, False),
    "event_id": (TEXT, False),
    "app_id": (TEXT, False),
    "device_id": (TEXT, False),
    "timestamp": (MOMENT, False),
    "metadata": (BLOCK, False),
    "extra": (TEXT, True),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record."""

    name: str
    kind: str  # one of the constants above; empty if Tapline does not support its type
    nullable: bool
    member: str  # its JSON member, which need not be an Avro name
    is_json: bool = False  # text that holds a JSON object
    type_name: str = ""  # of a block's record
    fields: tuple["Field", ...] = ()  # of a block


def fields(schema: dict[str, Any]) -> tuple[Field, ...]:
    """Return the fields of a record schema, in order."""
    return tuple(map(_field, schema.get("fields", ())))


def leaves(schema: dict[str, Any]) -> dict[str, Field]:
    """Return every field that holds a value, by path: `app_id`, `device_properties.os`."""
    found: dict[str, Field] = {}
    for field in fields(schema):
        if field.kind == BLOCK:
            found |= {f"{field.name}.{inner.name}": inner for inner in field.fields}
        else:
            found[field.name] = field
    return found


def problems(schema: dict[str, Any], family: str) -> Iterator[str]:
    """Yield the reasons why a schema that fastavro accepts cannot be used."""
    if schema.get("type") != "record":
        yield "must be a record"
        return
    found = [*_problems_of_fields(schema, family)]
    yield from found
    if not found:
        yield from (f"{name}: a column of two fields" for name in repeated(schema["fields"]))


def _problems_of_fields(schema: dict[str, Any], family: str) -> Iterator[str]:
    if "namespace" in schema:
        yield "must have no namespace"
    yield from _repeated(fields(schema), "")
    found = {field.name: field for field in fields(schema)}
    for field, declared in zip(fields(schema), schema.get("fields", ()), strict=True):
        yield from _field_problems(field, declared)
    if "received_at" not in found or found["received_at"].kind != MOMENT or found["received_at"].nullable:
        yield "received_at must be a long of logical type timestamp-millis"
    if family == "mobile":
        for name, (kind, nullable) in _ENVELOPE.items():
            if name not in found or (found[name].kind, found[name].nullable) != (kind, nullable):
                yield f"{name} must be there: {kind}, {'nullable' if nullable else 'not null'}"


def _field(declared: dict[str, Any]) -> Field:
    name, avro, nullable = declared["name"], declared["type"], False
    if isinstance(avro, list) and len(avro) == 2 and avro[0] == "null":  # noqa: PLR2004 - null and one type
        avro, nullable = avro[1], True
    is_json = "json" in declared
    member = declared.get("json", declared.get("member", name))
    if isinstance(avro, dict) and avro.get("type") == "record":
        return Field(name, BLOCK, nullable, member, is_json, avro["name"], fields(avro))
    return Field(name, _kind(avro), nullable, member, is_json)


def _kind(avro: Any) -> str:
    if isinstance(avro, str):
        return _KINDS.get(avro, "")
    return MOMENT if avro == _MOMENT else LIST if avro == _LIST else ""


def _field_problems(field: Field, declared: dict[str, Any], block: str = "") -> Iterator[str]:
    path = f"{block}.{field.name}" if block else field.name
    if not _NAME.fullmatch(field.name):
        yield f"{path}: a name must be a letter, then letters, digits and underscores"
    if not field.kind:
        yield f"{path}: Tapline does not support the type {declared['type']}"
    if field.nullable and ("default" not in declared or declared["default"] is not None):
        yield f"{path}: nullable, so its default must be null"
    if block and not field.nullable:
        yield f"{path}: must be nullable, as every field of a block"
    if field.nullable is (field.kind == BYTES) and field.kind in (BYTES, LIST):
        yield f"{path}: bytes must not be nullable, lists must be"
    if field.is_json and (field.kind != TEXT or not field.nullable or block):
        yield f"{path}: only nullable text of the top level can hold JSON"
    yield from _attribute_problems(field, declared, path)
    if field.kind == BLOCK and (block or field.nullable):
        yield f"{path}: a block must be at the top level and must not be nullable"
    elif field.kind == BLOCK:
        yield from _block_problems(field, declared)


def _attribute_problems(field: Field, declared: dict[str, Any], path: str) -> Iterator[str]:
    for name in ("number", "category"):
        if name in declared and field.kind != TEXT:
            yield f"{path}: only text can have the attribute {name}"
    if declared.get("number", "integer") not in NUMBERS:
        yield f"{path}: its number is {declared['number']!r}, but must be {' or '.join(NUMBERS)}"
    if not isinstance(field.member, str) or not MEMBER.fullmatch(field.member):
        yield f"{path}: the member it is read from must be a name without quotes, backslashes and controls"
    if not isinstance(declared.get("doc", ""), str):
        yield f"{path}: its doc must be text"


def _block_problems(block: Field, declared: dict[str, Any]) -> Iterator[str]:
    if declared.get("default") != {field.name: None for field in block.fields}:
        yield f"{block.name}: its default must be a block of nulls"
    yield from _repeated(block.fields, f"{block.name}.")
    for field, field_declared in zip(block.fields, declared["type"].get("fields", ()), strict=True):
        yield from _field_problems(field, field_declared, block.name)


def _repeated(siblings: tuple[Field, ...], prefix: str) -> Iterator[str]:
    for what in ("name", "member"):
        given = [getattr(field, what) for field in siblings]
        yield from (
            f"{prefix}{name}: a {what} of two fields" for name in sorted({*given}) if given.count(name) > 1
        )
