"""A body too expensive to read member by member -> its envelope, and the whole body as one text.

Invariant: the work is one pass of a decoder written in C, for any number of members. The whole body is
decoded later, by `make replay ARGS=--untyped`. Source: docs/decisions/0006-lenient-decoding.md.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from schemas.catalog.schema_model import BLOCK, LIST, Field
from schemas.codec.lenient import Members

# Path of the whole body in `extra`; no escaped name equals it.
PATH = "%"
_ENVELOPE = ("event", "timestamp_iso", "mp_metadata")


def reader(fields: Iterable[Field]) -> Callable[[msgspec.Raw], Members]:
    """Compile a reader of scalar `fields` and the envelope; it returns the whole object under PATH."""
    scalar = [one.member for one in fields if one.kind not in (BLOCK, LIST) and not one.is_json]
    names = {f"_{number}": name for number, name in enumerate(dict.fromkeys((*scalar, *_ENVELOPE)))}
    head = msgspec.defstruct("Head", [(one, msgspec.Raw, None) for one in names], rename=names)
    decode: Callable[[msgspec.Raw], Any] = msgspec.json.Decoder(head).decode

    def read(raw: msgspec.Raw) -> Members:
        found = zip(names.values(), msgspec.structs.astuple(decode(raw)), strict=True)
        return {PATH: raw} | {name: value for name, value in found if value is not None}

    return read
