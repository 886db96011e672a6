"""One stream of states -> any number of pages, none of which can slow the others or fill memory.

Invariants: a page holds at most one state not yet taken: a newer one replaces it, because each state is
whole. A page that takes none for STALLED_MAX states is let go (a sleeping laptop keeps its socket for a
quarter of an hour). Whether anybody looks is known, so that nothing need be done for nobody.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from consumers.live.metrics import Metrics

STALLED_MAX = 60
# Who asked for a snapshot may well ask for another.
_ASKED_SECONDS = 10.0


class Page:
    """One open page. Made by `Broadcaster.open` only."""

    def __init__(self) -> None:
        self._next: bytes | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self._task = asyncio.current_task()
        self.stalled = 0  # states replaced since one was taken

    def put(self, state: bytes) -> bool:
        """Hand over a state; return whether it replaced one that was not taken."""
        replaced = self._next is not None
        self.stalled = self.stalled + 1 if replaced else 0
        self._next = state
        self._changed.set()
        return replaced

    def close(self) -> None:
        """End the stream after what was handed over."""
        self._closed = True
        self._changed.set()

    def abandon(self) -> None:
        """End a stream that takes nothing."""
        if self._task is not None:
            self._task.cancel()

    async def states(self) -> AsyncIterator[bytes]:
        """Yield states until the page is closed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            state, self._next = self._next, None
            if state is not None:
                yield state
            if self._closed:
                return


class Broadcaster:
    """All open pages and the latest state."""

    def __init__(self, pages_max: int, metrics: Metrics) -> None:
        self._pages_max = pages_max
        self._metrics = metrics
        self._pages: set[Page] = set()
        self._closed = False
        self._asked = float("-inf")  # when a snapshot was asked for last, by the monotonic clock
        self._watched = asyncio.Event()
        self.latest: bytes | None = None

    @property
    def full(self) -> bool:
        """Return whether no further page may be opened."""
        return self._closed or len(self._pages) >= self._pages_max

    @contextmanager
    def open(self) -> Iterator[Page]:
        """Yield a page that gets the latest state at once and each newer one, until the block ends."""
        page = Page()
        self._pages.add(page)
        self._watched.set()
        self._metrics.pages.set(len(self._pages))
        if self.latest is not None:
            page.put(self.latest)
        if self._closed:
            page.close()
        try:
            yield page
        finally:
            self._pages.discard(page)
            self._metrics.pages.set(len(self._pages))

    def ask(self) -> None:
        """Note that somebody looks who keeps no page open."""
        self._asked = monotonic()
        self._watched.set()

    async def watched(self, seconds_max: float) -> None:
        """Return as soon as somebody looks: at once while a page is open; and after `seconds_max`."""
        if not self._pages and monotonic() > self._asked + _ASKED_SECONDS:
            self._watched.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._watched.wait(), seconds_max)

    def publish(self, state: bytes) -> None:
        """Hand a state to every page."""
        self.latest = state
        self._metrics.states.inc()
        for page in self._pages:
            if page.put(state):
                self._metrics.skipped.inc()
            if page.stalled > STALLED_MAX:
                page.abandon()

    def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closed = True
        for page in self._pages:
            page.close()
