"""Whose number a schema's id is: our own, or that of the registry at SCHEMA_REGISTRY_URL.

Invariant: within Tapline ids are our own. A record of ours that begins with a registry's says by a header
which of ours that is; so it is read without the registry, and after the setting has changed. The ids of
others' records are the registry's, else ours: they had them from there.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.kafka import topics
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire import HEADER_BYTES, prefix, wire_id_of

if TYPE_CHECKING:
    from schemas.catalog.registry_client import SchemaRegistry

Headers = Iterable[tuple[str, bytes | None]]


def registering(root: Path, properties: Mapping[str, str], memory: Path) -> SchemaReloader:
    """Return the current catalog; with `properties` of a registry every release is registered there.

    `memory`: where its ids are kept. Raises: CatalogError.
    """
    return (
        SchemaReloader(root, _registry(properties, memory).register) if properties else SchemaReloader(root)
    )


def looking_up(root: Path, properties: Mapping[str, str]) -> SchemaReloader:
    """Return the current catalog; with `properties` of a registry it knows the ids that ingest got there.

    Raises: CatalogError, also when the registry does not answer.
    """
    return SchemaReloader(root, _registry(properties).look_up) if properties else SchemaReloader(root)


def following(root: Path, properties: Mapping[str, str]) -> SchemaReloader:
    """Return the same for who has work also while the registry does not answer. Raises: CatalogError."""
    return (
        SchemaReloader(root, _registry(properties).look_up_if_it_answers)
        if properties
        else SchemaReloader(root)
    )


def registered(catalog: Catalog, value: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return a value as it is written to Kafka, and the header that tells whose id it begins with.

    Raises: KeyError when the registry has not got its schema.
    """
    if catalog.ids is None:
        return value, []
    own = value[:HEADER_BYTES]
    return prefix(catalog.ids[wire_id_of(own) or 0]) + value[HEADER_BYTES:], [(topics.SCHEMA_REGISTRY, own)]


def release_of(catalog: Catalog, value: bytes, headers: Headers | None) -> Release | None:
    """Return the release that a record's value was written by; None when it is not known."""
    return next(iter(releases_of(catalog, value, headers)), None)


def releases_of(catalog: Catalog, value: bytes, headers: Headers | None) -> list[Release]:
    """Return the releases that a record's value may have been written by, the likeliest first."""
    named = dict(headers or ())
    own = wire_id_of(named.get(topics.SCHEMA_REGISTRY) or value)
    if own is None:
        return []
    found = [catalog.by_wire_id(own)]
    if topics.CRC32 not in named and topics.SCHEMA_REGISTRY not in named:
        found.insert(0, catalog.by_registry_id(own))
    return [release for release in found if release]


def _registry(properties: Mapping[str, str], memory: Path | None = None) -> "SchemaRegistry":
    from schemas.catalog.registry_client import SchemaRegistry  # noqa: PLC0415 - 15 MB and 0.1 s for those who have one

    return SchemaRegistry(properties, memory)
