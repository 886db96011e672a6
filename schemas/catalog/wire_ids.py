"""The schema ids in Kafka values: our own, or those of the registry at SCHEMA_REGISTRY_URL.

Invariant: within Tapline, ids are our own. If a record of ours starts with a registry's id, a header holds
our own id, so it can be read without the registry, and after the setting has changed. The ids of other
producers' records are the registry's, or else ours.
"""

from runtime.kafka import record_headers
from runtime.kafka.record_headers import Headers
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.wire import HEADER_BYTES, prefix, wire_id_of


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
    wire_id = wire_id_of(record_headers.own_prefix(headers) or value)
    if wire_id is None:
        return []
    found = [catalog.by_wire_id(wire_id)]
    if not record_headers.has(headers, record_headers.CRC32):
        found.insert(0, catalog.by_registry_id(wire_id))
    return [release for release in found if release]
