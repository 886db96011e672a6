"""What becomes of records that wait for Kafka when they are given up."""

import asyncio

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from ingest.delivery.producer import KafkaProducer, NotAcknowledgedError
from ingest.delivery.record import Record
from tests.live import hanging
from tests.stack import Stack
from tests.topic import messages_since, value_of

_TOPIC = "given-up"
_HANDED_OVER_SECONDS = 0.05


def record(value: bytes) -> Record:
    """Return a record of one key."""
    return Record(_TOPIC, b"key", value, [], 0)


def test_what_was_only_collected_is_not_sent_after_it_was_given_up(services: Stack) -> None:
    """It goes to the spool instead: sent as well it would come before what is older."""
    admin = AdminClient({"bootstrap.servers": services.kafka})
    admin.create_topics([NewTopic(_TOPIC, 1)])[_TOPIC].result(10)

    async def run() -> None:
        producer = KafkaProducer({"bootstrap.servers": services.kafka})
        await producer.produce(record(b"before"))
        with hanging(services, "kafka"):
            handed_over = producer.produce(record(b"handed over"))
            await asyncio.sleep(_HANDED_OVER_SECONDS)
            collected = producer.produce(record(b"collected"))
            producer.give_up()
            for future in (handed_over, collected):
                with pytest.raises(NotAcknowledgedError):
                    await future
            assert producer.pending == 0
            await asyncio.sleep(_HANDED_OVER_SECONDS)
        await producer.produce(record(b"after"))
        await producer.close(5)

    asyncio.run(run())

    assert [value_of(m) for m in messages_since(services.kafka, _TOPIC, {0: 0})] == [
        b"before",
        b"handed over",
        b"after",
    ]
