"""An event -> a Kafka value by fastavro, in Confluent's wire format, by Tapline's released schemas."""

import io
import time
from typing import Any

import fastavro
import fastavro.validation

from schemas.catalog import schema_model, wire
from schemas.catalog.catalog import Catalog

_RELEASES = {release.name: release for release in Catalog.load().newest_releases()}
_SCHEMAS = {name: fastavro.parse_schema(release.schema) for name, release in _RELEASES.items()}
_PREFIXES = {name: wire.prefix(release.wire_id) for name, release in _RELEASES.items()}
_BLOCKS = {
    name: [field.name for field in schema_model.fields(release.schema) if field.kind == schema_model.BLOCK]
    for name, release in _RELEASES.items()
}


def encoded(event: dict[str, Any]) -> bytes:
    """Return the value. Raises: fastavro's errors for an event that does not fit."""
    name = event["event_type"]
    out = io.BytesIO()
    out.write(_PREFIXES[name])
    fastavro.schemaless_writer(out, _SCHEMAS[name], _received(name, event))
    return out.getvalue()


def is_valid(event: dict[str, Any]) -> bool:
    """Return whether an event fits its schema."""
    name = event["event_type"]
    return bool(fastavro.validation.validate(_received(name, event), _SCHEMAS[name], raise_errors=False))


def _received(name: str, event: dict[str, Any]) -> dict[str, Any]:
    blocks = {block: event.get(block) or {} for block in _BLOCKS[name]}
    return event | blocks | {"received_at": int(time.time() * 1000)}
