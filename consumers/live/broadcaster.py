"""One stream of states -> many pages; none can delay the others or fill memory.

Invariants: a page has at most one pending state; a newer one replaces it, because each state is complete. A
page that skips STALLED_MAX states is dropped (a sleeping laptop keeps its socket for a quarter of an hour).
The broadcaster knows whether anyone is watching, which saves work otherwise.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from consumers.live.metrics import Metrics

STALLED_MAX = 60
# A client that requested a snapshot is likely to request another.
_ASKED_SECONDS = 10.0


class Page:
    """One open page; created only by `Broadcaster.open`."""

    def __init__(self) -> None:
        self._next: bytes | None = None
        self._changed = asyncio.Event()
        self._closed = False
        self._task = asyncio.current_task()
        self.stalled = 0  # states replaced since the last one was taken

    def put(self, state: bytes) -> bool:
        """Queue a state; return whether it replaced a pending one."""
        replaced = self._next is not None
        self.stalled = self.stalled + 1 if replaced else 0
        self._next = state
        self._changed.set()
        return replaced

    def close(self) -> None:
        """End the stream after the pending state."""
        self._closed = True
        self._changed.set()

    def abandon(self) -> None:
        """Cancel a stream that takes no states."""
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
    """All open pages, and the latest state."""

    def __init__(self, pages_max: int, metrics: Metrics) -> None:
        self._pages_max = pages_max
        self._metrics = metrics
        self._pages: set[Page] = set()
        self._closed = False
        self._asked = float("-inf")  # monotonic time of the last snapshot request
        self._watched = asyncio.Event()
        self.latest: bytes | None = None

    @property
    def full(self) -> bool:
        """Whether no more pages may be opened."""
        return self._closed or len(self._pages) >= self._pages_max

    @contextmanager
    def open(self) -> Iterator[Page]:
        """Yield a page that gets the latest state and every newer one, until the block ends."""
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
        """Record that a client without an open page is watching."""
        self._asked = monotonic()
        self._watched.set()

    async def watched(self, seconds_max: float) -> None:
        """Wait until someone is watching, for at most `seconds_max`."""
        if not self._pages and monotonic() > self._asked + _ASKED_SECONDS:
            self._watched.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._watched.wait(), seconds_max)

    def publish(self, state: bytes) -> None:
        """Send a state to every page."""
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
