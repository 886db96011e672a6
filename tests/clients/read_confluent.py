"""The topic -> JSON lines, parsed like ClickHouse's Kafka engine: by its format AvroConfluent.

chDB has no Kafka engine, so the values are handed to the format one behind the other, like the engine does.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import chdb

from runtime.kafka import topics
from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog
from tests.support.topic import end_offsets, messages_since, value_of

_CATALOG = Catalog.load()
_TYPES = {
    schema_model.TEXT: "String",
    schema_model.MOMENT: "DateTime64(3, 'UTC')",
    schema_model.BOOLEAN: "Bool",
    schema_model.LIST: "Array(String)",
}


def main() -> None:
    """Print every event of the topic."""
    start = dict.fromkeys(end_offsets(os.environ["KAFKA"], topics.EVENTS), 0)
    values = [value_of(message) for message in messages_since(os.environ["KAFKA"], topics.EVENTS, start)]
    values = [value for value in values if value.startswith(b"\0")]  # the engine skips the others
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(values))
        file.flush()
        sql = (
            f"SELECT * FROM file('{file.name}', AvroConfluent, '{', '.join(_columns())}') SETTINGS "
            f"format_avro_schema_registry_url = '{os.environ['REGISTRY']}', "
            "input_format_avro_allow_missing_fields = 1, input_format_avro_null_as_default = 1"
        )
        rows = chdb.query(sql, "JSONEachRow").data()  # type: ignore[no-untyped-call]
        for line in rows.splitlines():
            sys.stdout.write(f"{json.dumps(_nested(json.loads(line)))}\n")


def _columns() -> Iterator[str]:
    """Yield the columns of all types; a field that a type lacks is null, or an empty list."""
    found: dict[str, str] = {}
    for release in _CATALOG.releases:
        if release.family != "mobile" and release.name != "Unmodelled":
            continue
        for path, field in schema_model.leaves(release.schema).items():
            kind = _TYPES[field.kind].replace("'", "\\'")
            found[path] = f"Nullable({kind})" if field.nullable and field.kind != schema_model.LIST else kind
    return (f"`{path}` {kind}" for path, kind in found.items())


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row with blocks as objects, and with the fields of its own type alone."""
    release = _CATALOG.newest(row["event_type"]) or _CATALOG.unmodelled
    found: dict[str, Any] = {}
    for path in schema_model.leaves(release.schema):
        block, _, name = path.rpartition(".")
        (found.setdefault(block, {}) if block else found)[name] = row[path]
    return found


if __name__ == "__main__":
    main()
