"""Bytes per event, in Kafka by codec and rate, and in ClickHouse by type; and the cost of Kafka's codecs.

Kafka: records as ingest makes them (value, headers, key), produced with ingest's properties. At a steady
rate, a batch holds what arrives while the previous one is in flight; as fast as they go, batches are full.
The producer compresses, or the broker by the topic's compression.type, or both. Bytes are those of the log's
files. ClickHouse: `dataset`'s rows once settled, all columns and indexes.
"""

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from deploy.demo.generator import Plan, generate
from ingest.delivery.producer import DEFAULTS
from ingest.delivery.record import OutgoingRecord
from ingest.http.receive import Accepted, Receiver
from runtime.kafka import topic_contract, topics
from tests.bench import cores, services
from tests.bench.dataset import DAY_MS, START_MS, DataSet, Shape
from tests.bench.options import Options
from tests.bench.report import Section, say, table
from tests.bench.usage import cpu_seconds
from tests.support.stack import Stack
from tests.support.warehouse import CATALOG

# The producer's codec and level, and the topic's compression.type: "producer" keeps its compression.
_CODECS = (
    ("none", "-1", "producer"),
    ("lz4", "-1", "producer"),
    ("zstd", "-1", "producer"),
    ("gzip", "-1", "producer"),
    ("gzip", "1", "producer"),
    ("gzip", "1", "gzip"),
    ("lz4", "-1", "gzip"),
    ("none", "-1", "gzip"),
)
_RATE = 1000
_SAMPLE = 50_000
_PARTS_SQL = (
    "SELECT table, sum(rows), sum(bytes_on_disk) / sum(rows) FROM system.parts"
    " WHERE active AND database = 'tapcart_raw' GROUP BY table HAVING sum(rows) > 0 ORDER BY table"
)


def run(options: Options) -> Section:
    """Measure both."""
    seconds, fast, rows = options.pick((1, 2_000, 20_000), (2, 40_000, 150_000), (20, 300_000, 1_000_000))
    with services.running("kafka,clickhouse", on=cores.ALL) as (stack, _):
        kafka = [*_kafka(stack, seconds, fast)]
        data = DataSet(stack.clickhouse_url, Shape(days=3, rows=rows))
        data.make_sample()
        data.fill(range(3), 1)
        data.settle(range(3))
        found = data.client.query(_PARTS_SQL).result_rows
        names = {table.name for table in data.typed}
    events = sum(count for name, count, _ in found if name in names)
    every = sum(count * size for _, count, size in found) / events
    rows_of = [
        [name, f"{count:,}", f"{size:.0f}"]
        for name, count, size in (*found, ("all, to an event", events, every))
    ]
    about = f"An event is {_body_bytes():,.0f} bytes of JSON on average (invented shoppers)."
    lines = [
        *table(("Kafka: codec, rate", "bytes per event", "producer, us of CPU", "broker", "consumer"), kafka),
        "",
        *table(
            ("ClickHouse: settled", "rows", "bytes per event"),
            rows_of,
        ),
    ]
    return Section("sizes", "Bytes per event", about, [], lines)


def _kafka(stack: Stack, seconds: int, fast: int) -> Iterator[list[str]]:
    records = [*_records()]
    for (codec, level, kept), rate in itertools.product(_CODECS, (_RATE, 0)):
        topic = f"bench.{codec}{level}.{kept}.{rate}"
        _make(stack.kafka, topic, kept)
        count = rate * seconds or fast
        broker = psutil.Process(stack.pid("kafka"))
        began = cpu_seconds(broker)
        ours = time.process_time()
        properties = {"bootstrap.servers": stack.kafka, "compression.type": codec, "compression.level": level}
        _produce(properties, topic, itertools.islice(itertools.cycle(records), count), rate)
        cpu = [time.process_time() - ours, cpu_seconds(broker) - began]
        ours = time.process_time()
        _consume(stack.kafka, topic, count)
        cpu.append(time.process_time() - ours)
        size = _bytes(stack.data_dir, topic) / count
        sent = codec if level == "-1" else f"{codec} level {level}"
        kept_words = "" if kept == "producer" else f" sent, {kept} kept"
        words = f"{sent}{kept_words}, {f'{rate:,}/s' if rate else 'as fast as it goes'}"
        say(f"{words}: {size:.0f} bytes")
        yield [words, f"{size:.0f}", *(f"{seconds / count * 1e6:.1f}" for seconds in cpu)]


def _produce(properties: dict[str, str], topic: str, records: Iterator[OutgoingRecord], rate: int) -> None:
    ours = {"acks": "all", "enable.idempotence": "true", "partitioner": topics.PARTITIONER, "log_level": "0"}
    producer = Producer(DEFAULTS | ours | properties)
    began = time.perf_counter()
    for number, record in enumerate(records):
        if rate:
            time.sleep(max(0.0, began + number / rate - time.perf_counter()))
        while True:
            try:
                producer.produce(topic, record.value, record.key, headers=[*record.headers])
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    assert producer.flush(60) == 0


def _consume(kafka: str, topic: str, count: int) -> None:
    client = Consumer({"bootstrap.servers": kafka, "group.id": "bench", "log_level": 0})
    partitions = range(topic_contract.PARTITIONS[topics.EVENTS])
    client.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    while count > 0:
        found = client.consume(10_000, timeout=10)
        assert found, f"{count} records of {topic} were not read"
        count -= len(found)
    client.close()


def _records() -> Iterator[OutgoingRecord]:
    receiver = Receiver(CATALOG)
    for post in _posts():
        received = receiver.receive(post, {}, START_MS + DAY_MS)
        if isinstance(received, Accepted):
            yield received.record


def _posts() -> Iterator[bytes]:
    plan = Plan(START_MS, START_MS + DAY_MS, apps=50, events_per_day=_SAMPLE)
    return (post.body for post in generate(plan) if post.kind == "event")


def _body_bytes() -> float:
    sizes = [len(body) for body in itertools.islice(_posts(), 10_000)]
    return sum(sizes) / len(sizes)


def _make(kafka: str, topic: str, kept: str) -> None:
    partitions = topic_contract.PARTITIONS[topics.EVENTS]
    new = NewTopic(topic, partitions, config={"flush.messages": "1", "compression.type": kept})
    admin = AdminClient({"bootstrap.servers": kafka})  # a future is void once its client is gone
    admin.create_topics([new])[topic].result()


def _bytes(data_dir: Path, topic: str) -> int:
    folders: Sequence[Path] = [*(data_dir / "kafka" / "log").glob(f"{topic}-*")]
    return sum(path.stat().st_size for folder in folders for path in folder.glob("*.log"))
