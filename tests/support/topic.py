"""The contents of a Kafka topic, read like any consumer does."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Message, TopicPartition

from tests.support.waiting import eventually, patience

_READ_SECONDS_MAX = 60.0


@contextmanager
def consumer(kafka: str) -> Iterator[Consumer]:
    """Yield a consumer that commits nothing."""
    client = Consumer({"bootstrap.servers": kafka, "group.id": "test", "enable.auto.commit": "false"})
    try:
        yield client
    finally:
        client.close()


def end_offsets(kafka: str, topic: str) -> dict[int, int]:
    """Return partition -> high watermark, once every partition has an active leader."""
    with consumer(kafka) as client:

        def ends() -> dict[int, int]:
            partitions = client.list_topics(topic, timeout=10).topics[topic].partitions
            return {
                partition: client.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
                for partition in partitions
            }

        return eventually(ends)


def messages_since(kafka: str, topic: str, offsets: dict[int, int]) -> list[Message]:
    """Return every message from `offsets` to the end."""
    ends = end_offsets(kafka, topic)
    left = {partition for partition, end in ends.items() if end > offsets[partition]}
    found: list[Message] = []
    with consumer(kafka) as client:
        client.assign([TopicPartition(topic, partition, offsets[partition]) for partition in left])
        began = time.monotonic()
        error: object = None
        while left:
            if time.monotonic() - began > _READ_SECONDS_MAX * patience():
                raise AssertionError(f"no end of {topic}: {left} of {ends} after {len(found)}: {error}")
            message = client.poll(1)
            # Kafka continues after a pause of its own, and the client tries again by itself.
            if message is None or (error := message.error()):
                continue
            found.append(message)
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            if offset + 1 >= ends[partition]:
                left.discard(partition)
    return found


def headers_of(message: Message) -> dict[str, bytes]:
    """Return the headers; all have bytes as values."""
    headers = message.headers()
    assert isinstance(headers, list)
    return {name: value for name, value in headers if isinstance(value, bytes)}


def value_of(message: Message) -> bytes:
    """Return the value, which must exist."""
    value = message.value()
    assert isinstance(value, bytes)
    return value
