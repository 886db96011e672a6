"""Requests with a wrong token -> how long their answer waits, so that guessing is slow.

Nothing is kept of an address: many senders share that of a proxy. A right token never waits. The first wrong
ones of a second are answered at once, for a sender with a typo; after that each waits for a second, and its
connection is closed. At most `_WAITING_MAX` wait; more are answered at once and closed. Invariant: bounded
memory, whatever is guessed. A token has 16 characters or more: at 10,000 guesses a second, one of 16 letters
and digits would take 10^17 years.
"""

import asyncio
import time
from collections.abc import Callable

_FREE_PER_SECOND = 10
_WAIT_SECONDS = 1.0
_WAITING_MAX = 256


class Guesses:
    """The wrong tokens of one process."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._second = 0
        self._free = 0
        self.waiting = 0
        self.waiting_max = _WAITING_MAX

    async def slow_down(self) -> bool:
        """Return once the answer may be sent, and whether its connection may be kept."""
        second = int(self._now())
        if second != self._second:
            self._second, self._free = second, _FREE_PER_SECOND
        if self._free:
            self._free -= 1
            return True
        if self.waiting < self.waiting_max:
            self.waiting += 1
            try:
                await asyncio.sleep(_WAIT_SECONDS)
            finally:
                self.waiting -= 1
        return False
