"""Events in ingest's format, a loader started like an operator does, and queries of ClickHouse."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from consumers.kit.record import Place
from consumers.warehouse.repair.offset_reader import OffsetReader, PartitionOffsets
from runtime.kafka import record_headers, topic_contract, topics
from runtime.kafka.topic_contract import TopicContract, new_topic_config
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.codec.events import Decoded, EventDecoder
from tests.support.stack import ROOT, free_ports
from tests.support.waiting import eventually, patience
from tests.support.web import total

CATALOG = Catalog.load()
SAMPLES = {path.stem: path.read_bytes() for path in sorted((ROOT / "deploy/samples/mobile").glob("*.json"))}
NOW_MS = 1_795_000_000_000
GROUP = "tapline.warehouse"
_DECODER = EventDecoder(CATALOG)

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Message:
    """A Kafka message that never was in Kafka, with confluent_kafka's methods."""

    value_: bytes | None
    topic_: str = topics.EVENTS
    partition_: int = 0
    offset_: int = 0
    headers_: Headers | None = None
    key_: bytes | None = b"app"
    at_ms: int = NOW_MS

    def topic(self) -> str:
        """Return the topic's name."""
        return self.topic_

    def partition(self) -> int:
        """Return the partition's number."""
        return self.partition_

    def offset(self) -> int:
        """Return the offset."""
        return self.offset_

    def timestamp(self) -> tuple[int, int]:
        """Return the timestamp's kind and milliseconds."""
        return 1, self.at_ms

    def headers(self) -> Headers | None:
        """Return the headers, or None without any, like the client."""
        return self.headers_

    def key(self) -> bytes | None:
        """Return the key."""
        return self.key_

    def value(self) -> bytes | None:
        """Return the value."""
        return self.value_


def body(name: str = "AppOpened", **fields: Any) -> bytes:
    """Return a sample's body with a fresh event_id and some fields changed; None removes a field."""
    event = json.loads(SAMPLES[name]) | {"event_id": str(uuid.uuid4())} | fields
    return json.dumps({key: value for key, value in event.items() if value is not None}).encode()


def decoded(event: bytes, **headers: str) -> Decoded:
    """Return the decoded event of a body."""
    return _DECODER.decode(event, headers)


def value(event: bytes, **headers: str) -> bytes:
    """Return the Kafka value of a body."""
    return decoded(event, **headers).encode(NOW_MS)


def crc(data: bytes) -> Headers:
    """Return the checksum header of a value."""
    return [(record_headers.CRC32, wire.checksum(data))]


def message(event: bytes, offset: int = 0, partition: int = 0) -> Message:
    """Return a body as a message written by ingest."""
    data = value(event)
    return Message(data, partition_=partition, offset_=offset, headers_=crc(data))


class Sender:
    """Writes to our topics with a given time, and waits for Kafka's acknowledgement."""

    def __init__(self, kafka: str, at_ms: int = NOW_MS) -> None:
        self._at_ms = at_ms
        self._producer = Producer(
            {
                "bootstrap.servers": kafka,
                "partitioner": topics.PARTITIONER,
                "message.max.bytes": 4 << 20,
                "log_level": 0,
            }
        )
        make_topics(kafka)

    def events(self, *bodies: bytes, **headers: str) -> None:
        """Send events as ingest does."""
        for event in bodies:
            found = decoded(event, **headers)
            self.put(found.encode(NOW_MS), key=found.app_id.encode())
        self.flush()

    def put(
        self,
        data: bytes | None,
        headers: Headers | None = None,
        topic: str = topics.EVENTS,
        key: bytes = b"app",
        partition: int = -1,
    ) -> None:
        """Produce one record; without `headers`, with a correct checksum."""
        given: list[tuple[str, str | bytes | None]] = [*(crc(data or b"") if headers is None else headers)]
        self._producer.produce(topic, data, key, partition, headers=given, timestamp=self._at_ms)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until everything is acknowledged."""
        assert self._producer.flush(30) == 0


def make_topics(kafka: str) -> None:
    """Create our topics, as ingest does at startup."""
    # The samples have fixed times, so Kafka must not apply its retention.
    wanted = [
        NewTopic(topic, count, 1, config=new_topic_config(topic, 1, TopicContract()) | {"retention.ms": "-1"})
        for topic, count in topic_contract.PARTITIONS.items()
    ]
    admin = AdminClient({"bootstrap.servers": kafka})  # a future is void once its client is gone
    for made in admin.create_topics(wanted).values():
        try:
            made.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def logs(kafka: str) -> dict[Place, PartitionOffsets]:
    """Return the topics' offsets, and those that the loaders' group has committed."""
    reader = OffsetReader({"bootstrap.servers": kafka}, GROUP)
    try:
        return reader.logs()
    finally:
        reader.close()


def committed(kafka: str) -> dict[Place, int]:
    """Return the committed offsets of the loaders' group in the events topic."""
    return {place: log.committed for place, log in logs(kafka).items() if place[0] == topics.EVENTS}


def lag(kafka: str) -> int:
    """Return the number of records that the loaders' group has not committed."""
    return sum(log.high - log.committed for log in logs(kafka).values())


def catch_up(kafka: str) -> None:
    """Wait until the running loaders have loaded everything, such as the records of earlier tests."""
    eventually(lambda: lag(kafka) == 0, 60, "the end of the backlog")


def load_backlog(kafka: str, clickhouse: str, folder: Path) -> None:
    """Load the records that earlier tests left, so that none waits when a test begins."""
    make_topics(kafka)
    if lag(kafka):
        loader = Loader(kafka, clickhouse, folder).start()
        catch_up(kafka)
        assert loader.stop() == 0


@dataclass
class Loader:
    """`python -m consumers.warehouse`."""

    kafka: str
    clickhouse: str
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ("-m", "consumers.warehouse")

    def start(self, *, wait: bool = True) -> "Loader":
        """Start it; with `wait`, wait until it is ready."""
        self.log = self.folder / f"warehouse-{uuid.uuid4().hex[:8]}.log"
        self.port = int(free_ports()["LIVE_PORT"])
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.command], cwd=ROOT, env=self.environment(), stderr=log
            )
        if wait:
            try:
                eventually(self.is_ready, 60, "the loader's readiness")
            except AssertionError:
                self.kill()  # no fixture would
                raise
        return self

    def environment(self) -> dict[str, str]:
        """Return its environment."""
        ours = ("KAFKA_", "CLICKHOUSE_", "WAREHOUSE_")
        clean = {name: text for name, text in os.environ.items() if not name.startswith(ours)}
        return clean | {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "KAFKA_SESSION_TIMEOUT_MS": "6000",
            "CLICKHOUSE_URL": self.clickhouse,
            "WAREHOUSE_METRICS_PORT": str(self.port),
            "WAREHOUSE_BATCH_AGE_SECONDS_MAX": "0.1",
            "WAREHOUSE_RETRY_SECONDS_MAX": "0.5",
            "WAREHOUSE_SCHEMA_SECONDS_MAX": "1",
            **self.env,
        }

    def get(self, path: str) -> tuple[int, str]:
        """Return status and text of a path on the metrics port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def is_ready(self) -> bool:
        """Return whether it reports readiness; fails if it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        return self.get("/readyz")[0] == 200

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples; `name` with or without labels."""
        return total(self.get("/metrics")[1], name)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill it."""
        self.process.send_signal(number)
        self.process.wait(30 * patience())

    def stop(self) -> int:
        """Stop it in order and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30 * patience())


class Tables:
    """Queries of ClickHouse over HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url

    def run(self, sql: str, data: bytes | None = None, **settings: Any) -> str:
        """Return the answer; raises AssertionError with ClickHouse's text."""
        query = settings | ({} if data is None else {"query": sql})
        url = f"{self._url}/?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, data=sql.encode() if data is None else data)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    def rows(self, sql: str) -> list[list[Any]]:
        """Return rows as JSON values; 64-bit numbers as numbers."""
        answer = self.run(f"{sql} FORMAT JSONCompact SETTINGS output_format_json_quote_64bit_integers = 0")
        rows: list[list[Any]] = json.loads(answer)["data"]
        return rows

    def one(self, sql: str) -> Any:
        """Return the only value of the only row."""
        return self.rows(sql)[0][0]

    def wait(self, sql: str, expected: Any, seconds_max: float = 30) -> None:
        """Wait until `sql` answers `expected`."""
        last: list[Any] = []

        def matches() -> bool:
            try:
                last[:] = [self.one(sql)]
            except (AssertionError, IndexError) as error:
                last[:] = [error]
            return bool(last[0] == expected)

        try:
            eventually(matches, seconds_max)
        except AssertionError:
            raise AssertionError(f"{sql} answers {last[0]}, not {expected}") from None
