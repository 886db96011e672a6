"""Records are compressed so that every Kafka client can read them out of the box: all support gzip."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from runtime.kafka import topics
from tests.clients.events import bodies
from tests.support.process import Ingest
from tests.support.stack import Stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A broker of its own. Its quarantine topic existed before ingest, with Kafka's default configuration."""
    stack = Stack(tmp_path_factory.mktemp("compression"), "kafka").start()
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    admin.create_topics([NewTopic(topics.QUARANTINE, 1)])[topics.QUARANTINE].result(30)
    yield stack
    stack.stop()


def codecs(stack: Stack, topic: str) -> list[str]:
    """Return the codec of each batch of a topic, from the segment files. Source: Kafka's RecordBatch."""
    found = []
    for path in (stack.data_dir / "kafka" / "log").glob(f"{topic}-*/*.log"):
        data = path.read_bytes()
        start = 0
        while start < len(data):
            (length,) = struct.unpack_from(">i", data, start + 8)
            (attributes,) = struct.unpack_from(">h", data, start + 21)
            found.append(CODECS[attributes & 7])
            start += 12 + length
    return found


@pytest.mark.parametrize(
    ("codec", "kept"), [("", "gzip"), ("none", "none"), ("lz4", "lz4"), ("zstd", "zstd")]
)
def test_the_topic_holds_gzip(kafka: Stack, tmp_path: Path, codec: str, kept: str) -> None:
    """Even if ingest's property differs, the topic's wins. An older topic keeps what producers send."""
    before = {name: len(codecs(kafka, name)) for name in (topics.EVENTS, topics.QUARANTINE)}
    ingest = Ingest(kafka.kafka, tmp_path, {"KAFKA_COMPRESSION_TYPE": codec}).start()
    assert eventually(ingest.direct)
    assert ingest.post(bodies()[0]).status_code == 200
    assert ingest.post(b"no JSON " * 1000 + codec.encode()).status_code == 400
    ingest.stop()

    assert {*codecs(kafka, topics.EVENTS)[before[topics.EVENTS] :]} == {"gzip"}
    assert {*codecs(kafka, topics.QUARANTINE)[before[topics.QUARANTINE] :]} == {kept}
