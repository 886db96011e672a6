"""Whose number a schema's id is: our own, or that of the registry at SCHEMA_REGISTRY_URL.

Invariant: records of ours say it by a header, so what was written before the setting stays readable, whatever
ids the registry gave. The ids of others' records are the registry's, else ours: they had them from there.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from schemas import topics
from schemas.catalog import Catalog, Release
from schemas.current import Current
from schemas.wire import wire_id_of

if TYPE_CHECKING:
    from schemas.confluent import SchemaRegistry

Headers = Iterable[tuple[str, bytes | None]]


def registering(root: Path, properties: Mapping[str, str], memory: Path) -> Current:
    """Return the current catalog; with `properties` of a registry every release is registered there.

    `memory`: where its ids are kept. Raises: CatalogError, SettingsError.
    """
    return Current(root, _registry(properties, memory).register) if properties else Current(root)


def looking_up(root: Path, properties: Mapping[str, str]) -> Current:
    """Return the current catalog; with `properties` of a registry by the ids that ingest got there.

    Raises: CatalogError, SettingsError.
    """
    return Current(root, _registry(properties).look_up) if properties else Current(root)


def release_of(catalog: Catalog, value: bytes, headers: Headers | None) -> Release | None:
    """Return the release that a record's value was written by; None when it is not known."""
    wire_id, names = wire_id_of(value), {name for name, _ in headers or ()}
    if wire_id is None:
        return None
    if topics.SCHEMA_REGISTRY in names:
        return catalog.by_wire_id(wire_id) if catalog.is_registered else None
    if topics.CRC32 in names:
        return catalog.own.by_wire_id(wire_id)
    return catalog.by_wire_id(wire_id) or catalog.own.by_wire_id(wire_id)


def _registry(properties: Mapping[str, str], memory: Path | None = None) -> "SchemaRegistry":
    from schemas.confluent import SchemaRegistry  # noqa: PLC0415 - 15 MB and 0.1 s for those who have one

    return SchemaRegistry(properties, memory)
