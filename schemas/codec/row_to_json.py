"""The columns of a row -> a POST body that would produce it, and the event under today's rules. Pure.

Invariants: all data of the row is included, `extra` too. Null, "", [] and an absent member, which a table
cannot distinguish, become an absent member. Source: the inverse of `lenient`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from schemas.catalog import schema_model
from schemas.catalog.schema_model import Field
from schemas.codec import unexamined
from schemas.codec.events import Decoded, EventDecoder, Invalid, NotJson
from schemas.codec.lenient import members_of

Columns = Mapping[str, Any]  # by name, as of `shape.leaves`; moments in milliseconds since 1970


class RowError(Exception):
    """The row came from another producer and is not an event under today's rules."""


def event_of(decoder: EventDecoder, fields: Iterable[Field], columns: Columns) -> Decoded:
    """Return the event that a row is under today's rules; arguments: see `body_of`. Raises: RowError."""
    try:
        return decoder.decode(body_of(fields, columns), {})
    except (NotJson, Invalid, ValueError, TypeError, RecursionError) as error:
        raise RowError(str(error) or type(error).__name__) from error


def body_of(fields: Iterable[Field], columns: Columns) -> bytes:
    """Return the body of the event whose row has `columns`; `fields`: of all releases of its table."""
    event: dict[str, Any] = {}
    for field in fields:
        if field.name in schema_model.OURS:
            continue
        if field.kind == schema_model.BLOCK:
            inner = {one.member: _value(columns, f"{field.name}.{one.name}") for one in field.fields}
            value: Any = {member: one for member, one in inner.items() if one is not None} or None
        else:
            value = _value(columns, field.name)
            value = members_of(value.encode()) if field.is_json and value else value
        if isinstance(value, dict):
            event[field.member] = {**event.get(field.member, {}), **value}
        elif value is not None:
            event[field.member] = value
    for key, raw in members_of(columns["extra"].encode()).items() if columns["extra"] else ():
        if key == unexamined.PATH:
            event |= members_of(raw)
            continue
        *block, name = map(unescaped, key.split("."))
        place = event.setdefault(block[0], {}) if block else event
        place[name] = raw
    return msgspec.json.encode(event)


def unescaped(name: str) -> str:
    """Return a name from a path in `extra` as it was sent."""
    return name.replace("%2E", ".").replace("%25", "%")


def _value(columns: Columns, name: str) -> Any:
    value = columns[name]
    return None if value in ("", []) else value
