"""A class for each event type: `from consumers.kit.types import AddedToCart`.

Each is a frozen msgspec Struct built from the newest release: fields under their own names (`class_` for a
keyword), blocks as Structs that are never None, times in milliseconds since 1970. Invariant: every release of
the type fits: fields missing in an older one are None, and fields added by a newer one (released while the
process runs) are left out until a restart; a dict has them at once.
"""

import os
from functools import lru_cache
from typing import Any

import msgspec

from consumers.kit.settings import Settings
from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_model import BLOCK, BOOLEAN, BYTES, INTEGER, LIST, MOMENT, TEXT, Field
from schemas.codec.compiler import attribute

_TYPES: dict[str, Any] = {TEXT: str, INTEGER: int, MOMENT: int, BOOLEAN: bool, BYTES: bytes, LIST: list[str]}


def __getattr__(name: str) -> Any:
    """Return the class of an event type."""
    types = {} if name.startswith("__") else _types()
    if name not in types:
        raise AttributeError(f"no event type {name}; there are {', '.join(sorted(types))}")
    return types[name]


def class_of(release: Release) -> type[Any]:
    """Return the class of the events of a release."""
    return _struct(release.name, schema_model.fields(release.schema))


@lru_cache(maxsize=1)
def _types() -> dict[str, type[msgspec.Struct]]:
    catalog = Catalog.load(Settings.from_env(os.environ).schemas_dir)
    return {one.name: class_of(one) for one in catalog.newest_releases() if one != catalog.quarantine}


def _struct(name: str, fields: tuple[Field, ...]) -> type[msgspec.Struct]:
    members = [(attribute(field), *_member(field)) for field in fields]
    renamed = {attribute(field): field.name for field in fields}
    return msgspec.defstruct(name, members, rename=renamed, kw_only=True, frozen=True, module=__name__)


def _member(field: Field) -> tuple[Any, ...]:
    if field.kind == BLOCK:
        block = _struct(field.type_name, field.fields)
        return block, msgspec.field(default_factory=block)
    if field.nullable:
        return _TYPES[field.kind] | None, None
    return (_TYPES[field.kind],)
