"""A release -> its `Codec`: the msgspec Struct for decoding JSON, and the encoder.

Invariant: after the wire format's prefix, the encoder writes the same bytes as `fastavro.schemaless_writer`,
which a property test checks. The encoder is generated Python: one expression, with everything constant
computed in advance. Measurements on one slow core: see docs/decisions/0001-compiled-codec.md.

For an event type `Waved` with an id, a block of two fields and what ingest adds, it generates:

    def encode(event, received_at, extra):
        b_event_properties = event.event_properties or no_event_properties
        return join((
            prefix,
            length[len(b := event.event_id.encode())], b,
            long(received_at),
            null if (v := b_event_properties.greeting) is None else value_length[len(b := v.encode())] + b,
            nullable_boolean[b_event_properties.again],
            null if extra is None else value_length[len(extra)] + extra,
        ))
"""

import keyword
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from schemas.catalog import schema_model, wire
from schemas.catalog.catalog import Release
from schemas.catalog.event_time import SHOWN_MS_MAX, SHOWN_MS_MIN
from schemas.catalog.schema_model import BLOCK, BOOLEAN, BYTES, INTEGER, LIST, MOMENT, TEXT, Field
from schemas.codec.varint import Lengths, long

_INT64 = Meta(ge=-(2**63), le=2**63 - 1)
_SHOWN = Meta(ge=SHOWN_MS_MIN, le=SHOWN_MS_MAX)

# By kind, the type of a value that fits a nullable field.
TYPES: dict[str, Any] = {
    TEXT: str,
    INTEGER: Annotated[int, _INT64],
    MOMENT: Annotated[int, _SHOWN],
    BOOLEAN: bool,
    BYTES: bytes,
    LIST: list[str],
}
_GUARANTEED: dict[str, Any] = {TEXT: Annotated[str, Meta(min_length=1)], MOMENT: Annotated[int, _INT64]}
# This many characters always fit `ID_BYTES_MAX`; the slow path counts the bytes of longer ids.
_SHORT = Meta(max_length=schema_model.ID_BYTES_MAX // 4)

_NULL, _VALUE = b"\x00", b"\x02"  # branches of a union of null and one type
_LENGTH, _VALUE_LENGTH = Lengths(), Lengths(_VALUE)
# A list of many short ASCII texts: each length is one such character, and encoding all at once costs half.
_LIST_SHORT, _ASCII_LENGTH = 16, [chr(2 * length) for length in range(64)]
_BOOLEAN = {True: b"\x01", False: b"\x00"}
_NULLABLE_BOOLEAN = {None: _NULL, True: _VALUE + b"\x01", False: _VALUE + b"\x00"}


@dataclass(frozen=True, slots=True)
class Codec:
    """Converts one release's events into Kafka values."""

    release: Release
    fields: tuple[Field, ...]  # the release's fields, without those that ingest adds
    struct: type[msgspec.Struct]  # has `fields` as attributes (see `attribute`); None for a missing block
    blocks: dict[str, msgspec.json.Decoder[Any]]  # field name -> strict decoder of the block's Struct
    # (event, received_at in ms since 1970, extra as JSON text or None) -> Kafka value
    encode: Callable[[msgspec.Struct, int, bytes | None], bytes]


def compile_release(release: Release) -> Codec:
    """Compile the codec of a release from a catalog."""
    declared = schema_model.fields(release.schema)
    is_mobile = release.family == "mobile"
    fields = tuple(
        field
        for field in declared
        if field.name not in schema_model.OURS and not (is_mobile and field.name == "event_type")
    )
    blocks = {field.name: _block(field) for field in fields if field.kind == BLOCK}
    struct = _struct(
        release.name,
        fields,
        [_id_member(field) or _member(field, blocks.get(field.name)) for field in fields],
        {"tag_field": "event_type", "tag": release.name} if is_mobile else {},
    )
    decoders = {name: msgspec.json.Decoder(block) for name, block in blocks.items()}
    return Codec(release, fields, struct, decoders, _encoder(release, declared, blocks))


def attribute(field: Field) -> str:
    """Return the Struct attribute that holds `field`."""
    return f"{field.name}_" if keyword.iskeyword(field.name) else field.name


def _block(field: Field) -> type[msgspec.Struct]:
    return _struct(field.type_name, field.fields, [_member(inner, None) for inner in field.fields], {})


def _struct(
    name: str, fields: tuple[Field, ...], members: list[Any], tag: dict[str, Any]
) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        name,
        members,
        rename={attribute(field): field.member for field in fields},
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
        **tag,
    )


def _id_member(field: Field) -> tuple[str, Any] | tuple[str, Any, Any] | None:
    """Return the member for one of `IDS`; None for other fields."""
    if field.name not in schema_model.IDS or field.kind != TEXT:
        return None
    if field.nullable or field.name in schema_model.OPTIONAL:
        return attribute(field), Annotated[str, _SHORT] | None, None
    return attribute(field), Annotated[_GUARANTEED[TEXT], _SHORT]


def _member(field: Field, block: type[msgspec.Struct] | None) -> tuple[str, Any] | tuple[str, Any, None]:
    if block is not None:
        return attribute(field), block | None, None
    if field.nullable:
        return attribute(field), TYPES[field.kind] | None, None
    return attribute(field), _GUARANTEED.get(field.kind, TYPES[field.kind])


def _encoder(
    release: Release, declared: tuple[Field, ...], blocks: dict[str, type[msgspec.Struct]]
) -> Callable[[msgspec.Struct, int, bytes | None], bytes]:
    names: dict[str, Any] = {
        "join": b"".join,
        "prefix": wire.prefix(release.wire_id),
        "null": _NULL,
        "length": _LENGTH,
        "value_length": _VALUE_LENGTH,
        "boolean": _BOOLEAN,
        "nullable_boolean": _NULLABLE_BOOLEAN,
        "long": long,
        "value_long": _value_long,
        "value_list": _value_list,
    }
    lines, parts = [], []
    for field in declared:
        value = field.name if field.name in schema_model.OURS else f"event.{attribute(field)}"
        if field.name == "event_type" and release.family == "mobile":
            names["prefix"] += _LENGTH[len(release.name)] + release.name.encode()
        elif field.kind == BLOCK:
            block = f"b_{field.name}"
            names[f"no_{field.name}"] = blocks[field.name]()
            lines.append(f"    {block} = {value} or no_{field.name}")
            parts += [_part(inner, f"{block}.{attribute(inner)}") for inner in field.fields]
        else:
            parts.append(_part(field, value))
    source = "\n".join(
        [
            "def encode(event, received_at, extra):",
            *lines,
            "    return join((",
            "        prefix,",
            *(f"        {part}," for part in parts),
            "    ))\n",
        ]
    )
    return _function(source, f"<encoder of {release.schema_id}>", names)


# By kind and nullability, the expression of a field's bytes, given that of its value.
_PARTS = {
    (TEXT, False): "length[len(b := {0}.encode())], b",
    (TEXT, True): "null if (v := {0}) is None else value_length[len(b := v.encode())] + b",
    (BYTES, False): "length[len({0})], {0}",
    (BOOLEAN, False): "boolean[{0}]",
    (BOOLEAN, True): "nullable_boolean[{0}]",
    (INTEGER, False): "long({0})",
    (INTEGER, True): "null if (v := {0}) is None else value_long(v)",
    (MOMENT, False): "long({0})",
    (MOMENT, True): "null if (v := {0}) is None else value_long(v)",
    (LIST, True): "null if (v := {0}) is None else value_list(v)",
}
_OPTIONAL = "length[len(b := ({0} or '').encode())], b"
_EXTRA = "null if extra is None else value_length[len(extra)] + extra"


def _part(field: Field, value: str) -> str:
    if value == "extra":
        return _EXTRA
    may_be_absent = field.name in schema_model.OPTIONAL and not field.nullable
    return (_OPTIONAL if may_be_absent else _PARTS[field.kind, field.nullable]).format(value)


def _value_long(number: int) -> bytes:
    return _VALUE + long(number)


def _value_list(texts: list[str]) -> bytes:
    if not texts:
        return _VALUE + _NULL
    if len(texts) > _LIST_SHORT and "".join(texts).isascii() and max(map(len, texts)) < len(_ASCII_LENGTH):
        lengths = map(_ASCII_LENGTH.__getitem__, map(len, texts))
        parts = chain.from_iterable(zip(lengths, texts, strict=True))
        return b"".join((_VALUE, long(len(texts)), "".join(parts).encode(), _NULL))
    encoded = [text.encode() for text in texts]
    return b"".join(
        (_VALUE, long(len(texts)), *(part for text in encoded for part in (_LENGTH[len(text)], text)), _NULL)
    )


def _function(source: str, filename: str, names: dict[str, Any]) -> Callable[..., bytes]:
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), names)  # noqa: S102 - consists of names from a released schema
    encode: Callable[..., bytes] = names["encode"]
    return encode
