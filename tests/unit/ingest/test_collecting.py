"""Records that come while others are in flight are handed to librdkafka together; a lone one never waits."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest

from ingest.delivery import producer
from ingest.delivery.producer import KafkaProducer
from ingest.delivery.producer_port import NotAcknowledgedError, RefusedError
from ingest.delivery.record import OutgoingRecord

_A_MOMENT_SECONDS = 0.005  # less than records are collected for
_STEP_SECONDS_MAX = 5.0


class Librdkafka:
    """A client whose reports come when the test says so."""

    def __init__(self, *_: object, **__: object) -> None:
        self.values: list[bytes] = []
        self._waiting: list[Callable[[Any, Any], object]] = []
        self._answer = threading.Event()
        self._error: object = None

    def __len__(self) -> int:
        return len(self._waiting)

    def produce(self, *record: Any, on_delivery: Callable[[Any, Any], object], **_: object) -> None:
        """Queue a record."""
        self.values.append(record[1])
        self._waiting.append(on_delivery)

    def poll(self, seconds: float) -> None:
        """Wait for the test, and deliver the reports."""
        if self._answer.wait(seconds):
            self._answer.clear()
            waiting, self._waiting = self._waiting, []
            for report in waiting:
                report(self._error, None)

    def purge(self, **_: object) -> None:
        """Keep everything."""

    def answer(self, error: object = None) -> None:
        """Let the reports come."""
        self._error = error
        self._answer.set()


def record(value: bytes) -> OutgoingRecord:
    """Return a record."""
    return OutgoingRecord("topic", b"key", value, [], 1)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition; `run` limits the time."""
    while not holds():  # noqa: ASYNC110 - the client is no part of the loop
        await asyncio.sleep(_A_MOMENT_SECONDS)


def run(test: Callable[[KafkaProducer, Librdkafka], Awaitable[None]]) -> None:
    """Run a test on a producer and its client."""

    async def story() -> None:
        made = KafkaProducer({})
        client: Any = made._producer
        try:
            async with asyncio.timeout(_STEP_SECONDS_MAX):
                await test(made, client)
        finally:
            await made.close(0)

    with mock.patch.object(producer, "Producer", Librdkafka):
        asyncio.run(story())


def test_a_lone_record_is_handed_over_at_once() -> None:
    """Together with those of the same turn of the loop."""

    async def test(made: KafkaProducer, client: Librdkafka) -> None:
        for value in (b"a", b"b"):
            made.produce(record(value))
        await asyncio.sleep(_A_MOMENT_SECONDS)
        assert client.values == [b"a", b"b"]

    run(test)


def test_records_behind_others_are_handed_over_with_their_reports() -> None:
    """In order, and none of them before."""

    async def test(made: KafkaProducer, client: Librdkafka) -> None:
        first = made.produce(record(b"first"))
        await asyncio.sleep(_A_MOMENT_SECONDS)
        later = [made.produce(record(value)) for value in (b"a", b"b")]
        await asyncio.sleep(_A_MOMENT_SECONDS)
        assert client.values == [b"first"]
        client.answer()
        await first
        assert client.values == [b"first", b"a", b"b"]
        client.answer()
        await asyncio.gather(*later)
        assert made.pending == 0

    run(test)


def test_records_behind_a_silent_broker_are_handed_over_after_a_bound() -> None:
    """One partition's leader may be away, and not the others'."""

    async def test(made: KafkaProducer, client: Librdkafka) -> None:
        made.produce(record(b"first"))
        await asyncio.sleep(_A_MOMENT_SECONDS)
        made.produce(record(b"second"))
        await until(lambda: client.values == [b"first", b"second"])

    run(test)


def test_a_report_ends_its_own_record() -> None:
    """With its error; a report of a record that was given up changes nothing."""

    async def test(made: KafkaProducer, client: Librdkafka) -> None:
        given_up = made.produce(record(b"given up"))
        await asyncio.sleep(_A_MOMENT_SECONDS)
        made.give_up()
        refused = made.produce(record(b"refused"))
        kept = made.produce(record(b"kept"))
        cancelled = made.produce(record(b"cancelled"))
        cancelled.cancel()
        await until(lambda: len(client) == 4)
        client._waiting[1](mock.Mock(code=lambda: -1, str=lambda: "away"), None)
        del client._waiting[1]
        client.answer()

        await kept
        with pytest.raises(NotAcknowledgedError, match="does not acknowledge"):
            await given_up
        with pytest.raises(NotAcknowledgedError, match="away") as error:
            await refused
        assert not isinstance(error.value, RefusedError)
        assert made.pending == 0

    run(test)
