"""The contract of a `Producer`, for the real one on the real broker and for the simulation's fake."""

import asyncio
import ctypes
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from ingest.delivery.producer import KafkaProducer
from ingest.delivery.producer_port import NotAcknowledgedError, Producer, RefusedError
from ingest.delivery.record import OutgoingRecord
from tests.simulation.fake_kafka import FakeProducer, Kafka
from tests.support.live import hanging
from tests.support.stack import Stack
from tests.support.topic import end_offsets, messages_since, value_of

_HANDED_OVER_SECONDS = 0.05
_TOO_LARGE = random.Random(1).randbytes(200_000)  # compressed as well


@dataclass(frozen=True)
class Site:
    """A broker; creates producers for it and reads one topic."""

    topic: str
    made: Callable[[], Producer]
    hanging: Callable[[], AbstractContextManager[None]]
    fail_fatally: Callable[[Producer], None]
    values: Callable[[], list[bytes]]

    def record(self, value: bytes) -> OutgoingRecord:
        """Return a record of one key."""
        return OutgoingRecord(self.topic, b"key", value, [], 1)


@pytest.fixture(params=["real", "fake"])
def site(request: pytest.FixtureRequest) -> Site:
    """A broker with the test's own topic, which accepts 100,000 bytes per record."""
    topic = f"contract-{random.SystemRandom().randrange(10**9)}"
    return _fake(topic) if request.param == "fake" else _real(topic, request.getfixturevalue("services"))


def _real(topic: str, services: Stack) -> Site:
    admin = AdminClient({"bootstrap.servers": services.kafka})
    admin.create_topics([NewTopic(topic, 1, config={"max.message.bytes": "100000"})])[topic].result(10)
    end_offsets(services.kafka, topic)
    return Site(
        topic,
        lambda: KafkaProducer({"bootstrap.servers": services.kafka}),
        lambda: hanging(services, "kafka"),
        _fail_librdkafka,
        lambda: [value_of(message) for message in messages_since(services.kafka, topic, {0: 0})],
    )


def _fake(topic: str) -> Site:
    kafka = Kafka(lambda record: len(record.value) > 100_000)

    @contextmanager
    def hangs() -> Iterator[None]:
        kafka.hang()
        yield
        kafka.resume()

    def fail(producer: Producer) -> None:
        assert isinstance(producer, FakeProducer)
        producer.fail_fatally()

    return Site(
        topic,
        lambda: FakeProducer(kafka, random.Random(1)),
        hangs,
        fail,
        lambda: [record.value for record in kafka.log],
    )


def _fail_librdkafka(producer: Producer) -> None:
    """Make librdkafka itself raise a fatal error, with its function for tests of applications."""
    assert isinstance(producer, KafkaProducer)
    (library,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*.so*")
    trigger = ctypes.CDLL(str(library)).rd_kafka_test_fatal_error
    trigger.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    # A confluent_kafka.Producer is a Python object header, followed by librdkafka's handle.
    handle = ctypes.c_void_p.from_address(id(producer._producer) + object.__basicsize__)
    assert trigger(handle, confluent_kafka.KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"made by a test") == 0


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[Producer]:
    """Yield a producer whose records are acknowledged."""
    producer = site.made()
    await producer.produce(site.record(b"first"))
    try:
        yield producer
    finally:
        await producer.close(5)


def test_acknowledges_what_kafka_has_in_order(site: Site) -> None:
    """One key's records, produced without waiting."""
    values = [b"%d" % number for number in range(200)]

    async def scenario() -> None:
        async with running(site) as producer:
            await asyncio.gather(*[producer.produce(site.record(value)) for value in values])
            assert producer.pending == 0
            assert producer.oldest_seconds() == 0

    asyncio.run(scenario())

    assert site.values() == [b"first", *values]


def test_what_was_only_collected_is_not_sent_after_it_was_given_up(site: Site) -> None:
    """It goes to the spool instead; sent too, it would overtake older records."""

    async def scenario() -> None:
        async with running(site) as producer:
            with site.hanging():
                handed_over = producer.produce(site.record(b"handed over"))
                await asyncio.sleep(_HANDED_OVER_SECONDS)
                collected = producer.produce(site.record(b"collected"))
                producer.give_up()
                for future in (handed_over, collected):
                    with pytest.raises(NotAcknowledgedError):
                        await future
                assert producer.pending == 0
                await asyncio.sleep(_HANDED_OVER_SECONDS)
            await producer.produce(site.record(b"after"))

    asyncio.run(scenario())

    assert set(site.values()) - {b"handed over"} == {b"first", b"after"}
    assert site.values()[-1] == b"after"


def test_a_kafka_that_hangs_leaves_records_pending(site: Site) -> None:
    """Neither acknowledged nor failed: the watcher of `oldest_seconds` decides."""

    async def scenario() -> None:
        async with running(site) as producer:
            with site.hanging():
                future = producer.produce(site.record(b"waits"))
                await asyncio.sleep(4 * _HANDED_OVER_SECONDS)
                assert not future.done()
                assert producer.pending == 1
                assert producer.oldest_seconds() >= 3 * _HANDED_OVER_SECONDS
            await future

    asyncio.run(scenario())

    assert site.values() == [b"first", b"waits"]


def test_a_record_that_kafka_refuses_is_told_from_those_of_its_batch(site: Site) -> None:
    """Kafka refuses a batch as a whole; alone, valid records are accepted, in order."""
    values = [b"before", _TOO_LARGE, b"after", b"last"]

    async def scenario() -> None:
        async with running(site) as producer:
            futures = [producer.produce(site.record(value)) for value in values]
            outcomes = await asyncio.gather(*futures, return_exceptions=True)
            refused = [value for value, end in zip(values, outcomes, strict=True) if end]
            assert _TOO_LARGE in refused
            assert all(isinstance(end, RefusedError) for end in outcomes if end)
            alone = [producer.produce_alone(site.record(value)) for value in values]
            ends = await asyncio.gather(*alone, return_exceptions=True)

        assert [type(end) for end in ends] == [type(None), RefusedError, type(None), type(None)]

    asyncio.run(scenario())

    assert site.values()[-3:] == [b"before", b"after", b"last"]


def test_a_fatal_error_fails_what_is_pending_and_is_not_the_end(site: Site) -> None:
    """An idempotent producer then accepts nothing, so another one replaces it."""

    async def scenario() -> None:
        async with running(site) as producer:
            with site.hanging():
                pending = producer.produce(site.record(b"pending"))
                await asyncio.sleep(_HANDED_OVER_SECONDS)
                site.fail_fatally(producer)
                with pytest.raises(NotAcknowledgedError):
                    await asyncio.wait_for(pending, 5)
                assert producer.pending == 0
            await producer.produce(site.record(b"after"))
            site.fail_fatally(producer)
            async with asyncio.timeout(10):
                while True:  # at first perhaps by the failed one
                    try:
                        await producer.produce(site.record(b"after the next"))
                    except NotAcknowledgedError:
                        continue
                    break

    asyncio.run(scenario())

    assert site.values()[-2:] == [b"after", b"after the next"]


def test_closing_waits_for_what_is_pending_and_fails_the_rest(site: Site) -> None:
    """Within its limit."""

    async def scenario() -> None:
        producer = site.made()
        acknowledged = producer.produce(site.record(b"acknowledged"))
        await producer.close(10)
        await acknowledged
        producer = site.made()
        await producer.produce(site.record(b"more"))
        with site.hanging():
            late = producer.produce(site.record(b"late"))
            await producer.close(0.2)
            with pytest.raises(NotAcknowledgedError):
                await late

    asyncio.run(scenario())

    assert site.values()[:2] == [b"acknowledged", b"more"]
