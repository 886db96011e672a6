"""Events of invented shoppers -> the topic, as ingest writes them; and the same rows as containers on disk.

Invariants: every event has an identity of its own, so tables must hold as many rows as there are records. All
are of one day: the cost of days is measured elsewhere. The containers equal those that the loader makes of
batches of this size, except for the numbers of partition and offset.
"""

import json
import random
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from confluent_kafka import Producer

from consumers.warehouse.load.batch import Batch, BatchLimits
from consumers.warehouse.load.container import container
from consumers.warehouse.load.schema_bindings import SchemaBindings
from deploy.demo.generator import Plan, generate
from runtime.kafka import topics
from tests.support.warehouse import CATALOG, Message, body, crc, decoded, make_topics

_DAY_MS = 86_400_000
_START_MS = 20_400 * _DAY_MS
_APPS = 50
_BATCH_ROWS = 100_000  # the loader's
# Poured records: this many differ; most have at most this much besides the event, one in a hundred more.
_POURED, _SMALL_BYTES, _LARGE_BYTES = 20_000, 200, 40_000
_PROPERTIES = {"partitioner": topics.PARTITIONER, "linger.ms": "50", **topics.COMPRESSION}


def write(kafka: str, folder: Path, count: int) -> None:
    """Put that many records into the topic, and as many rows into containers in `folder`."""
    make_topics(kafka)
    producer = Producer(_PROPERTIES | {"bootstrap.servers": kafka})
    bindings = SchemaBindings(CATALOG)
    records, manifest = _records(count), []
    for number in range(-(-count // _BATCH_ROWS)):
        batch = Batch(BatchLimits(_BATCH_ROWS, sys.maxsize, 1.0), bindings)
        some = [*islice(records, _BATCH_ROWS)]
        for record in some:
            _produce(producer, record)
        batch.add(some, 0.0, {})
        for group in batch.groups:
            path = folder / f"{number:04d}-{group.form.table}.avro"
            path.write_bytes(container(group.form, group.parts))
            rows = len(group.parts) // 2
            manifest.append([str(path), group.form.table, group.form.columns, rows])
    assert producer.flush(60) == 0
    (folder / "manifest.json").write_text(json.dumps(manifest))


def pour(kafka: str, count: int) -> None:
    """Put that many records of varied sizes into the topic: they repeat, and one in a hundred is large."""
    make_topics(kafka)
    producer = Producer(_PROPERTIES | {"bootstrap.servers": kafka})
    rng = random.Random(1)
    some = []
    for number in range(_POURED):
        size = _LARGE_BYTES if number % 100 == 0 else _SMALL_BYTES
        noise = rng.randbytes(rng.randrange(size // 2)).hex()
        value = decoded(body("AppOpened", padding=noise)).encode(_START_MS)
        some.append(Message(value, headers_=crc(value), key_=b"app-%d" % (number % _APPS)))
    for record in islice(cycle(some), count):
        _produce(producer, record)
    assert producer.flush(60) == 0


def _records(count: int) -> Iterator[Message]:
    # Only some of the posts are events of their own: others are repeated or invalid.
    plan = Plan(_START_MS, _START_MS + _DAY_MS, seed=1, apps=_APPS, events_per_day=count * 1.5)
    posts = (post for post in generate(plan) if post.kind == "event")
    for offset, post in enumerate(islice(posts, count)):
        value = decoded(post.body).encode(post.sent_at_ms)
        yield Message(value, offset_=offset, headers_=crc(value), key_=post.app_id.encode())


def _produce(producer: Producer, record: Message) -> None:
    while True:
        try:
            headers: list[tuple[str, str | bytes | None]] = [*(record.headers() or ())]
            producer.produce(record.topic(), record.value(), record.key(), headers=headers)
        except BufferError:
            producer.poll(0.1)
        else:
            return
