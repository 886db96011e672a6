"""fastavro as an independent oracle: decode Kafka values, write records, generate values.

Moments are whole numbers here, because fastavro's datetimes end at the year 9999.
"""

import io
from typing import Any

import fastavro
from hypothesis import strategies as st

from schemas.catalog.catalog import Release
from schemas.catalog.wire import HEADER_BYTES

SHOWN = st.integers(-2_208_988_800_000, 10_413_791_999_999)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=40) | st.integers(1, 40_000).map(lambda length: "é" * length)


def read(release: Release, value: bytes) -> dict[str, Any]:
    """Return the record in a Kafka value, all of which must be used."""
    body = io.BytesIO(value[HEADER_BYTES:])
    record = fastavro.schemaless_reader(body, fastavro.parse_schema(plain(release.schema)), None)
    assert not body.read()
    assert isinstance(record, dict)
    return record


def write(release: Release, record: Any) -> bytes:
    """Return the Avro body of `record`."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(plain(release.schema)), record)
    return body.getvalue()


def plain(schema: Any) -> Any:
    """Return the schema without logical types."""
    if isinstance(schema, dict):
        return {name: plain(part) for name, part in schema.items() if name != "logicalType"}
    return [plain(part) for part in schema] if isinstance(schema, list) else schema


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values of any schema of Tapline; optional moments are within the stored range."""
    match schema:
        case [*branches]:
            return st.one_of(
                *[SHOWN if isinstance(b, dict) and "logicalType" in b else values(b) for b in branches]
            )
        case {"type": "record", "fields": fields}:
            return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in fields})
        case {"type": "array", "items": items}:
            return st.lists(values(items), max_size=5)
        case {"type": inner}:
            return values(inner)
    return {
        "null": st.none(),
        "string": TEXT,
        "long": INT64,
        "boolean": st.booleans(),
        "bytes": st.binary(max_size=2000),
    }[schema]
