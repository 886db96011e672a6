"""Wrong tokens are slowed down, within bounds."""

import asyncio
import time

from ingest.http.guesses import Guesses


def test_the_first_of_a_second_are_answered_at_once() -> None:
    """A sender with a typo in its URL is answered without delay."""
    guesses = Guesses(lambda: 7.0)
    guesses.waiting_max = 0  # makes delayed senders lose their connection at once

    async def ten() -> list[bool]:
        return [await guesses.slow_down() for _ in range(10)]

    assert all(asyncio.run(ten()))


def test_a_guesser_waits_and_loses_its_connection() -> None:
    """Later ones take a second each; beyond the limit they are not delayed."""
    guesses = Guesses(lambda: 7.0)
    guesses.waiting_max = 20

    async def many() -> tuple[list[bool], int]:
        tasks = [asyncio.create_task(guesses.slow_down()) for _ in range(500)]
        await asyncio.sleep(0.1)
        waiting = guesses.waiting
        return await asyncio.gather(*tasks), waiting

    began = time.monotonic()
    kept, waiting = asyncio.run(many())

    assert time.monotonic() - began >= 1.0
    assert waiting == 20
    assert kept.count(True) == 10
    assert guesses.waiting == 0
