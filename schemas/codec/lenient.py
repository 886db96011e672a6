"""A JSON object that the strict decoder refused -> the release's Struct, and all that does not fit it.

Invariants: nothing sent is lost: a member is in the Struct (a number or boolean as its JSON text if text is
expected), or verbatim in `extra` under its path. An optional field never costs an event. If a name occurs
twice, its last member counts. Source: docs/decisions/0006-lenient-decoding.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import isinf
from typing import Any

import msgspec

from schemas.catalog import schema_model
from schemas.catalog.schema_model import Field
from schemas.codec import jsontext
from schemas.codec.compiler import TYPES, Codec, attribute

Members = dict[str, msgspec.Raw]

# ClickHouse's JSON type refuses nesting beyond about 1000 levels, and reads deep paths slowly.
_JSON_DEPTH_MAX = 64

members_of: Callable[[msgspec.Raw | bytes], Members] = msgspec.json.Decoder(Members).decode
elements_of: Callable[[msgspec.Raw], list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw]).decode
text_of: Callable[[msgspec.Raw | bytes], str] = msgspec.json.Decoder(str).decode
_typed = {
    kind: msgspec.json.Decoder(TYPES[kind]).decode
    for kind in (schema_model.INTEGER, schema_model.MOMENT, schema_model.BOOLEAN)
}


class _MismatchError(Exception):
    """The value does not fit its field."""


@dataclass(slots=True)
class Leftovers:
    """Values that do not fit a Struct, and a list of those converted to fit."""

    extra: dict[str, msgspec.Raw] = field(default_factory=dict)  # by path
    odd: list[str] = field(default_factory=list)  # paths of known fields whose value did not fit
    unknown: list[str] = field(default_factory=list)  # paths unknown to the schema
    time_member: str = "timestamp"  # the member that the event's time was read from

    def json(self) -> bytes | None:
        """Return `extra` as the text of a JSON object, or None if it is empty."""
        return msgspec.json.encode(self.extra) if self.extra else None


def read(
    codec: Codec, members: Members, given: Mapping[str, Any], left: Leftovers
) -> tuple[msgspec.Struct, Leftovers]:
    """Build the event from `members` of one JSON object; values that do not fit go to `left`.

    `given` holds values by field name; these fields are not looked up in `members`.
    """
    rest = dict(members)
    values = {}
    for known in codec.fields:
        if known.name in given:
            values[attribute(known)] = given[known.name]
        elif (raw := rest.pop(known.member, None)) is not None:
            values[attribute(known)] = _value(codec, known, raw, left)
    _unknown(rest, "", left)
    return codec.struct(**values), left


def text_at(members: Members, block: str, name: str) -> str | None:
    """Return the text of a block's member; None if block, member or text is missing."""
    raw = members.get(block)
    if raw is None or kind_of(raw) != "an object":
        return None
    return scalar_text(_reader_of(name)(raw).value)


@lru_cache(maxsize=16)
def _reader_of(name: str) -> Callable[[msgspec.Raw], Any]:
    """Compile a decoder for one member of an object, independent of the number of others."""
    one = msgspec.defstruct("One", [("value", msgspec.Raw, None)], rename={"value": name})
    return msgspec.json.Decoder(one).decode


def scalar_text(raw: msgspec.Raw | None) -> str | None:
    """Return a string, or the JSON text of a number or boolean; None for anything else."""
    try:
        return None if raw is None else _as_text(raw, kind_of(raw))
    except _MismatchError:
        return None


def kind_of(raw: msgspec.Raw) -> str:
    """Name the kind of a JSON value."""
    return _KINDS.get(memoryview(raw)[0], "a number")


def escaped(name: str) -> str:
    """Escape a member's name for a path in `extra`."""
    return name.replace("%", "%25").replace(".", "%2E")


_KINDS = {
    ord('"'): "a string",
    ord("{"): "an object",
    ord("["): "an array",
    ord("n"): "null",
    ord("t"): "a boolean",
    ord("f"): "a boolean",
}
_EXAMINED_MAX = 32  # each takes 1 us
_QUOTE = ord('"')
_NO_TEXT = frozenset(b"{[n")  # how an object, an array and null begin


def _value(codec: Codec, known: Field, raw: msgspec.Raw, left: Leftovers) -> Any:
    path = escaped(known.member)
    if known.kind != schema_model.BLOCK:
        return _json_text(raw, path, left) if known.is_json else _scalar(known, raw, path, left)
    kind = kind_of(raw)
    if kind == "an object":
        try:
            return codec.blocks[known.name].decode(raw)
        except msgspec.DecodeError:
            return _block(codec, known, members_of(raw), left)
    if kind != "null":
        _keep_whole(raw, path, left)
    return None


def _keep_whole(raw: msgspec.Raw, path: str, left: Leftovers) -> None:
    left.odd.append(path)
    left.extra[path] = raw


def _block(codec: Codec, block: Field, members: Members, left: Leftovers) -> msgspec.Struct:
    prefix = f"{escaped(block.member)}."
    values = {}
    for known in block.fields:
        if (raw := members.pop(known.member, None)) is not None:
            values[attribute(known)] = _scalar(known, raw, prefix + escaped(known.member), left)
    _unknown(members, prefix, left)
    filled: msgspec.Struct = codec.blocks[block.name].type(**values)
    return filled


def _unknown(members: Members, prefix: str, left: Leftovers) -> None:
    found = {
        prefix + (escaped(name) if "%" in name or "." in name else name): raw for name, raw in members.items()
    }
    left.unknown += found
    left.extra |= found


def _scalar(known: Field, raw: msgspec.Raw, path: str, left: Leftovers) -> Any:
    kind = kind_of(raw)
    if kind == "null":
        return None
    if kind == "a string" and known.kind == schema_model.TEXT:
        return text_of(raw)
    try:
        if known.kind == schema_model.TEXT:
            value: Any = _as_text(raw, kind)
        elif known.kind == schema_model.LIST:
            return _list(raw, kind, path, left)
        else:
            return _typed[known.kind](raw)
    except (_MismatchError, msgspec.DecodeError):
        left.extra[path] = raw
        value = None
    left.odd.append(path)
    return value


def _as_text(raw: msgspec.Raw, kind: str) -> str:
    if kind == "a string":
        return text_of(raw)
    if kind in ("a number", "a boolean"):
        return bytes(raw).decode()
    raise _MismatchError


def _list(raw: msgspec.Raw, kind: str, path: str, left: Leftovers) -> list[str]:
    if kind != "an array":
        raise _MismatchError
    elements = [bytes(element) for element in elements_of(raw)]
    starts = {element[0] for element in elements}
    if starts & _NO_TEXT:
        raise _MismatchError
    if starts <= {_QUOTE}:
        return [*map(text_of, elements)]
    left.odd.append(path)
    return [text_of(element) if element[0] == _QUOTE else element.decode() for element in elements]


def _json_text(raw: msgspec.Raw, path: str, left: Leftovers) -> str | None:
    """Return an object's text without the members that ClickHouse's JSON type refuses.

    With many members to examine, the whole object goes to `extra`.
    """
    kind = kind_of(raw)
    if kind == "null":
        return None
    if kind != "an object":
        _keep_whole(raw, path, left)
        return None
    members = members_of(raw)
    refused = []
    if not _is_portable(raw, _JSON_DEPTH_MAX):
        if len(members) > _EXAMINED_MAX:
            _keep_whole(raw, path, left)
            return None
        refused = [n for n, member in members.items() if not _is_portable(member, _JSON_DEPTH_MAX - 1)]
    left.odd += [path] if refused else []
    left.extra |= {f"{path}.{escaped(name)}": members.pop(name) for name in refused}
    return msgspec.json.encode(members).decode()


def _is_portable(raw: msgspec.Raw, depth_max: int) -> bool:
    kind = kind_of(raw)
    if kind == "a number":
        return not isinf(float(bytes(raw)))
    if kind not in ("an object", "an array"):
        return True
    if jsontext.is_deeper(bytes(raw), depth_max):
        return False
    try:
        _any_of(raw)
    except msgspec.DecodeError:  # a number that exceeds a double
        return False
    return True


def _check_finite(number: str) -> None:
    if isinf(float(number)):
        raise ValueError


# Uses Python's float: msgspec's takes 9 us for 1e308.
_any_of = msgspec.json.Decoder(float_hook=_check_finite).decode
