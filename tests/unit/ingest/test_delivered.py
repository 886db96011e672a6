"""The moment up to which ingest has delivered, with records in flight and in the spool."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ingest.delivery.publisher import NotKeptError, Publisher
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.state import DeliveryState
from ingest.metrics import Metrics

_NOW_MS = 100_000


class Way:
    """A publisher whose records stay in flight until the test ends them; and its spool."""

    def __init__(self) -> None:
        self.oldest: int | None = None
        self.spool = SimpleNamespace(unavailable="", is_open=True, empty=True, oldest_ms=lambda: self.oldest)
        self.ends: list[asyncio.Future[Any]] = []
        producer, none = SimpleNamespace(produce=self._produce), cast("Any", None)
        self.publisher = Publisher(
            cast("Any", producer),
            cast("Any", self.spool),
            none,
            none,
            Metrics(),
            acknowledge_seconds_max=2.0,
        )
        self.publisher.state = DeliveryState.DIRECT

    def _produce(self, _: OutgoingRecord) -> asyncio.Future[Any]:
        self.ends.append(asyncio.get_running_loop().create_future())
        return self.ends[-1]


def record(received_at_ms: int) -> OutgoingRecord:
    """Return a record."""
    return OutgoingRecord("t", b"key", b"value", [], received_at_ms)


def test_with_nothing_on_its_way_it_is_now() -> None:
    """Kafka has everything."""
    assert Way().publisher.delivered_until_ms(_NOW_MS) == _NOW_MS


def test_what_is_on_its_way_holds_it_back() -> None:
    """Until it is safe or given up; then it was not acknowledged."""

    async def story() -> list[int | None]:
        way = Way()
        tried = way.publisher
        tasks = [asyncio.create_task(tried.publish(record(at))) for at in (900, 800, 1000)]
        await asyncio.sleep(0)
        seen = [tried.delivered_until_ms(_NOW_MS)]
        way.ends[1].set_result("kafka")
        await tasks[1]
        seen.append(tried.delivered_until_ms(_NOW_MS))
        way.ends[0].set_exception(NotKeptError("full"))
        with pytest.raises(NotKeptError):
            await tasks[0]
        seen.append(tried.delivered_until_ms(_NOW_MS))
        tasks[2].cancel()
        await asyncio.wait([tasks[2]])
        return [*seen, tried.delivered_until_ms(_NOW_MS)]

    assert asyncio.run(story()) == [800, 900, 1000, _NOW_MS]


def test_what_waits_on_disk_holds_it_back() -> None:
    """A record behind the first one may be older, if it waited for Kafka before."""
    way = Way()
    way.oldest = 50_000

    assert way.publisher.delivered_until_ms(_NOW_MS) == 47_000


def test_a_disk_that_does_not_answer_leaves_it_unknown() -> None:
    """Its contents are unknown."""
    for strange in ({"unavailable": "Input/output error"}, {"is_open": False}, {"empty": False}):
        way = Way()
        vars(way.spool).update(strange)

        assert way.publisher.delivered_until_ms(_NOW_MS) is None
