"""The schema ids in Kafka values: our own, or those of the registry at SCHEMA_REGISTRY_URL.

Invariant: within Tapline, ids are our own. If a record of ours starts with a registry's id, a header holds
our own id, so it can be read without the registry, and after the setting has changed. The ids of other
producers' records are the registry's, or else ours.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.kafka import record_headers
from runtime.kafka.record_headers import Headers
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire import HEADER_BYTES, prefix, wire_id_of

if TYPE_CHECKING:
    from schemas.catalog.registry_client import SchemaRegistry


def registering(root: Path, properties: Mapping[str, str], memory: Path) -> SchemaReloader:
    """Return the reloader of ingest; with `properties` of a registry it registers every release there.

    `memory`: file that stores the registry's ids. Raises: CatalogError.
    """
    if not properties:
        return SchemaReloader(root)
    registry = _registry(properties, memory)
    return SchemaReloader(root, registry.register, registry.register_at_start)


def looking_up(root: Path, properties: Mapping[str, str]) -> SchemaReloader:
    """Return a reloader that, with `properties` of a registry, knows the ids that ingest got there.

    Raises: CatalogError, also if the registry does not answer.
    """
    return SchemaReloader(root, _registry(properties).look_up) if properties else SchemaReloader(root)


def following(root: Path, properties: Mapping[str, str]) -> SchemaReloader:
    """Return a reloader that also works while the registry does not answer. Raises: CatalogError."""
    if not properties:
        return SchemaReloader(root)
    registry = _registry(properties)
    return SchemaReloader(root, registry.look_up_if_it_answers, registry.look_up_at_start)


def registered(catalog: Catalog, value: bytes) -> tuple[bytes, bytes | None]:
    """Return a value as written to Kafka, and its first bytes by our own id, if it has a registry's.

    Raises: KeyError if the registry does not have its schema.
    """
    if catalog.ids is None:
        return value, None
    own = value[:HEADER_BYTES]
    return prefix(catalog.ids[wire_id_of(own) or 0]) + value[HEADER_BYTES:], own


def release_of(catalog: Catalog, value: bytes, headers: Headers | None) -> Release | None:
    """Return the release that wrote a record's value, or None if unknown."""
    return next(iter(releases_of(catalog, value, headers)), None)


def releases_of(catalog: Catalog, value: bytes, headers: Headers | None) -> list[Release]:
    """Return the releases that may have written a record's value, most likely first."""
    named = dict(headers or ())
    own = wire_id_of(named.get(record_headers.SCHEMA_REGISTRY) or value)
    if own is None:
        return []
    found = [catalog.by_wire_id(own)]
    if record_headers.CRC32 not in named and record_headers.SCHEMA_REGISTRY not in named:
        found.insert(0, catalog.by_registry_id(own))
    return [release for release in found if release]


def _registry(properties: Mapping[str, str], memory: Path | None = None) -> "SchemaRegistry":
    from schemas.catalog.registry_client import SchemaRegistry  # noqa: PLC0415 - 15 MB and 0.1 s for those who have one

    return SchemaRegistry(properties, memory)
