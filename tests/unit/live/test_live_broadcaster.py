"""One stream for all pages."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from consumers.live.broadcaster import STALLED_MAX, Broadcaster
from consumers.live.metrics import Metrics


def run(story: Callable[[Broadcaster], Awaitable[None]], pages_max: int = 3) -> None:
    """Run a scenario on a new broadcaster."""

    async def main() -> None:
        await story(Broadcaster(pages_max, Metrics()))

    asyncio.run(main())


def test_a_new_page_gets_the_latest_state_at_once() -> None:
    """It need not wait for the next round."""

    async def story(broadcaster: Broadcaster) -> None:
        broadcaster.publish(b"1")
        with broadcaster.open() as page:
            assert await anext(page.states()) == b"1"

    run(story)


def test_a_slow_page_misses_states_but_gets_the_newest() -> None:
    """Memory is limited to one state per page."""

    async def story(broadcaster: Broadcaster) -> None:
        with broadcaster.open() as page:
            for number in range(10):
                broadcaster.publish(b"%d" % number)
            assert await anext(page.states()) == b"9"

    run(story)


def test_a_page_counts_until_it_is_closed() -> None:
    """Beyond the limit no page may be opened; after a close one may."""

    async def story(broadcaster: Broadcaster) -> None:
        with broadcaster.open():
            assert broadcaster.full
        assert not broadcaster.full

    run(story, pages_max=1)


def test_closing_ends_every_stream() -> None:
    """Also that of a page opened later, because the server must be able to stop."""

    async def story(broadcaster: Broadcaster) -> None:
        with broadcaster.open() as page:
            broadcaster.publish(b"1")
            broadcaster.close()
            assert [state async for state in page.states()] == [b"1"]
        with broadcaster.open() as late:
            assert [state async for state in late.states()] == [b"1"]
        assert broadcaster.full

    run(story)


def test_nobody_looks_until_a_page_opens_or_a_snapshot_is_asked_for() -> None:
    """Waiters continue at once then, and not earlier unless their time is up."""

    async def story(broadcaster: Broadcaster) -> None:
        first, second = (
            asyncio.create_task(broadcaster.watched(60)),
            asyncio.create_task(broadcaster.watched(60)),
        )
        await asyncio.sleep(0)
        assert not first.done()
        with broadcaster.open():
            await asyncio.wait_for(asyncio.gather(first, second, broadcaster.watched(60)), 5)
        third = asyncio.create_task(broadcaster.watched(60))
        await asyncio.sleep(0)
        assert not third.done()
        broadcaster.ask()
        await asyncio.wait_for(asyncio.gather(third, broadcaster.watched(60)), 5)

    run(story)


def test_what_waits_for_nobody_goes_on_after_a_while() -> None:
    """Readiness and metrics stay correct without a page."""

    async def story(broadcaster: Broadcaster) -> None:
        await asyncio.wait_for(broadcaster.watched(0.01), 5)

    run(story)


def test_a_page_that_takes_nothing_is_let_go() -> None:
    """A sleeping laptop does not keep its place forever."""

    async def story(broadcaster: Broadcaster) -> None:
        async def stalled() -> None:
            with broadcaster.open():
                await asyncio.Event().wait()

        task = asyncio.create_task(stalled())
        await asyncio.sleep(0)
        for _ in range(STALLED_MAX + 2):
            broadcaster.publish(b"1")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not broadcaster.full

    run(story, pages_max=1)
