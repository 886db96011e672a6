"""Polls of the components that fail or hang."""

import asyncio
import threading
from collections.abc import Callable, Mapping

import pytest

from consumers.live.answers import KafkaStatus
from consumers.live.broadcaster import Broadcaster
from consumers.live.intake import IngestStatus, SpoolStatus
from consumers.live.metrics import Metrics
from consumers.live.page_state import ALL, PageState
from consumers.live.poller import Poller, SourceAwayError
from consumers.live.state import INGEST, KAFKA

NOW = 1_000_000


class Answering:
    """A component that answers, or fails with a message."""

    def __init__(self, answer: KafkaStatus | IngestStatus | Exception) -> None:
        self.answer = answer
        self.polls = 0
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def poll(self, now_ms: int) -> KafkaStatus | IngestStatus:
        """Answer at once, or when released."""
        assert now_ms == NOW
        self.polls += 1
        if self.hangs.is_set():
            self.goes_on.wait(10)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def poller(sources: Mapping[str, Answering], *, is_watched: bool = True) -> tuple[Poller, Metrics]:
    """Return a poller of these components."""
    metrics = Metrics()
    broadcaster = Broadcaster(1, metrics)
    if is_watched:
        broadcaster.ask()
    return Poller(PageState(ALL, NOW, 1), sources, broadcaster, metrics, lambda: NOW, 0.3), metrics


async def until(ask: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(5):
        while not ask():  # noqa: ASYNC110 - what is asked has no event
            await asyncio.sleep(0.01)


def test_a_look_that_hangs_is_named_until_it_goes_on() -> None:
    """Everything else continues normally."""
    kafka, ingest = (
        Answering(KafkaStatus((), 1, None, NOW)),
        Answering(IngestStatus("", SpoolStatus(0, 0, 1, None, NOW), NOW)),
    )
    running, metrics = poller({KAFKA: kafka, INGEST: ingest})

    async def story() -> None:
        tasks = [asyncio.create_task(part) for part in running.parts(0.01).values()]
        await until(lambda: metrics.freshness_at._value.get() == NOW / 1000)
        kafka.hangs.set()
        await until(lambda: running.stalled() == (KAFKA,))  # on a busy machine, others are late at first
        kafka.hangs.clear()
        kafka.goes_on.set()
        await until(lambda: not running.stalled())
        for task in tasks:
            task.cancel()

    asyncio.run(story())


@pytest.mark.parametrize("is_watched", [True, False])
def test_components_rest_while_no_page_is_open(*, is_watched: bool) -> None:
    """Each is polled once, and then after seconds; with a page, as often as a state is published."""
    kafka, ingest = (
        Answering(KafkaStatus((), 1, None, NOW)),
        Answering(IngestStatus("", SpoolStatus(0, 0, 1, None, NOW), NOW)),
    )
    running, metrics = poller({KAFKA: kafka, INGEST: ingest}, is_watched=is_watched)

    async def story() -> list[int]:
        tasks = [asyncio.create_task(part) for part in running.parts(0.01).values()]
        await until(lambda: metrics.states._value.get() > 40 and min(kafka.polls, ingest.polls) > 0)
        polls = [kafka.polls, ingest.polls]
        for task in tasks:
            task.cancel()
        return polls

    polls = asyncio.run(story())

    assert min(polls) > 5 if is_watched else polls == [1, 1]


def test_what_a_source_does_not_expect_ends_its_part() -> None:
    """And so ends the process; a component that is down does not."""
    away, broken = Answering(SourceAwayError("does not answer")), Answering(KeyError("nobody expected this"))
    running, _ = poller({KAFKA: away, INGEST: broken})

    async def story() -> set[str]:
        tasks = {name: asyncio.create_task(part) for name, part in running.parts(0.01).items()}
        await asyncio.wait(tasks.values(), timeout=5, return_when=asyncio.FIRST_COMPLETED)
        ended = {name for name, task in tasks.items() if task.done() and task.exception()}
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return ended

    assert asyncio.run(story()) == {f"look_at_{INGEST}"}
