"""Requests with a wrong token -> a delay for their answers, which slows down guessing.

No address is stored, because many senders may share a proxy's. Correct tokens are never delayed. Each second,
the first few wrong ones are answered at once, in case of a typo. Each further answer waits one second, and
its connection is closed. At most `_WAITING_MAX` answers wait; more are sent at once and closed. Invariant:
memory is bounded under any load. A token has 16 characters or more: at 10,000 guesses a second, finding one
of 16 letters and digits would take 10^17 years.
"""

import asyncio
import time
from collections.abc import Callable

_FREE_PER_SECOND = 10
_WAIT_SECONDS = 1.0
_WAITING_MAX = 256


class Guesses:
    """Counts the wrong tokens of one process."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._second = 0
        self._free = 0
        self.waiting = 0
        self.waiting_max = _WAITING_MAX

    async def slow_down(self) -> bool:
        """Delay the answer if needed; return whether the connection may stay open."""
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
