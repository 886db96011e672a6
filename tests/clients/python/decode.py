"""The bytes of a record -> the event: byte 0, four bytes of schema id, Avro."""

import functools
import io
import json
import os
import urllib.request
from typing import Any

import fastavro

REGISTRY = os.environ.get("REGISTRY", "http://127.0.0.1:8083/registry")


def decode(value: bytes) -> dict[str, Any]:
    """Return the event; moments are datetimes."""
    body = io.BytesIO(value[5:])
    event = fastavro.schemaless_reader(body, schema(int.from_bytes(value[1:5], "big")), None)
    assert isinstance(event, dict)
    return event


@functools.cache
def schema(schema_id: int) -> Any:
    """Return a schema from the registry; each is fetched once."""
    with urllib.request.urlopen(f"{REGISTRY}/schemas/ids/{schema_id}") as answer:
        return fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
