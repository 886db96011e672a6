"""The topic -> rows as dictionaries by table, decoded by fastavro; and the loop that both loaders share.

Invariant: polling, decoding and inserting happen in turn, as such loaders are written.
"""

import io
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from runtime.kafka import topic_contract, topics
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.catalog.table_names import table_name

_CATALOG = Catalog.load()
_SCHEMAS = {
    release.wire_id: (table_name(release.name), fastavro.parse_schema(release.schema))
    for release in _CATALOG.releases
}
_BATCH_ROWS = 50_000

Rows = dict[str, list[dict[str, Any]]]


def load(insert: Callable[[str, list[dict[str, Any]]], None]) -> None:
    """Load that many records; print their number and the seconds."""
    consumer = Consumer({"bootstrap.servers": os.environ["BENCH_KAFKA"], "group.id": "bench"})
    places = range(topic_contract.PARTITIONS[topics.EVENTS])
    consumer.assign([TopicPartition(topics.EVENTS, place, OFFSET_BEGINNING) for place in places])
    wanted, done = int(os.environ["BENCH_ROWS"]), 0
    began = time.perf_counter()
    while done < wanted:
        rows: Rows = {}
        count = 0
        while count < min(_BATCH_ROWS, wanted - done):
            for message in consumer.consume(min(1000, wanted - done - count), 1.0):
                assert not message.error(), message.error()
                table, row = _row(message)
                rows.setdefault(table, []).append(row)
                count += 1
        for table, some in rows.items():
            insert(table, some)
        done += count
    sys.stdout.write(f"{done} {time.perf_counter() - began}\n")
    consumer.close()


def _row(message: Any) -> tuple[str, dict[str, Any]]:
    value = message.value()
    table, schema = _SCHEMAS[wire.wire_id_of(value) or 0]
    event: Any = fastavro.schemaless_reader(io.BytesIO(value[wire.HEADER_BYTES :]), schema, schema)
    row = {"_partition": message.partition(), "_offset": message.offset()}
    for name, one in event.items():
        if isinstance(one, dict):
            row |= {f"{name}.{inner}": value for inner, value in one.items()}
        else:
            row[name] = one
    return table, row
