"""A body that is too much work to be read member by member -> its envelope; and the whole, as one text.

Invariant: the work is one pass of a decoder written in C, however many members there are. The whole is read
later, when nobody waits for it: `make replay ARGS=--untyped`. Source: DESIGN.md, "Schemas".
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from schemas.catalog.schema_model import BLOCK, LIST, Field
from schemas.codec.lenient import Members

# In `extra`, the path of a whole body: no name is escaped to it.
PATH = "%"
_ENVELOPE = ("event", "timestamp_iso", "mp_metadata")


def reader(fields: Iterable[Field]) -> Callable[[msgspec.Raw], Members]:
    """Return what finds scalar `fields` of an object and what may name the event; PATH leads to all."""
    scalar = [one.member for one in fields if one.kind not in (BLOCK, LIST) and not one.is_json]
    names = {f"_{number}": name for number, name in enumerate(dict.fromkeys((*scalar, *_ENVELOPE)))}
    head = msgspec.defstruct("Head", [(one, msgspec.Raw, None) for one in names], rename=names)
    decode: Callable[[msgspec.Raw], Any] = msgspec.json.Decoder(head).decode

    def read(raw: msgspec.Raw) -> Members:
        found = zip(names.values(), msgspec.structs.astuple(decode(raw)), strict=True)
        return {PATH: raw} | {name: value for name, value in found if value is not None}

    return read
