"""Polls the components repeatedly -> states for all pages.

Invariants: each component is polled once per round, for any number of pages, in its own task: a hanging one
delays neither the others nor the next state. While no page is open, they are polled rarely: freshness, a
metric for alerts, is then up to `_IDLE_SECONDS` old. A failed poll is shown on the page and retried. An
unexpected exception of a source ends the process.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from time import monotonic
from typing import Any, Protocol

from msgspec import json

from consumers.live.answers import ClickHouseStatus, KafkaStatus
from consumers.live.broadcaster import Broadcaster
from consumers.live.intake import IngestStatus
from consumers.live.metrics import Metrics
from consumers.live.page_state import PageState
from consumers.live.state import CLICKHOUSE, INGEST, KAFKA

_log = logging.getLogger(__name__)

_CAUSE_LENGTH_MAX = 500
# While no page is open, a poll waits this much longer than usual.
_IDLE_SECONDS = {CLICKHOUSE: 30.0, KAFKA: 5.0, INGEST: 5.0}
_PAGE = "page"


class SourceAwayError(Exception):
    """A component does not answer; the text is fit for the page. The same call may succeed later."""


class PolledSource(Protocol):
    """A component that a thread can poll within a bounded time."""

    def poll(self, now_ms: int) -> ClickHouseStatus | KafkaStatus | IngestStatus:
        """Return the component's answer. Raises: SourceAwayError."""
        ...


class Poller:
    """Keeps the page's state up to date and publishes it."""

    def __init__(
        self,
        page_state: PageState,
        sources: Mapping[str, PolledSource],
        broadcaster: Broadcaster,
        metrics: Metrics,
        clock_ms: Callable[[], int],
        stalled_seconds: float = 90.0,
    ) -> None:
        self._page_state = page_state
        self._sources = sources
        self._broadcaster = broadcaster
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._stalled_seconds = stalled_seconds
        self._turned_at = dict.fromkeys([*sources, _PAGE], monotonic())

    def parts(self, refresh_seconds: float) -> dict[str, Coroutine[Any, Any, None]]:
        """Return, by name, the tasks that poll and publish until cancelled."""
        looking = {
            f"look_at_{name}": self._watch(name, source, refresh_seconds)
            for name, source in self._sources.items()
        }
        return {**looking, "publish": self._publish(refresh_seconds)}

    def stalled(self) -> tuple[str, ...]:
        """Return the components whose poll hangs, and the page if no state is published."""
        now = monotonic()
        return tuple(name for name, at in self._turned_at.items() if now - at > self._stalled_seconds)

    async def _watch(self, name: str, source: PolledSource, refresh_seconds: float) -> None:
        while True:
            await self._poll(name, source)
            self._turned_at[name] = monotonic()
            await asyncio.sleep(refresh_seconds)
            await self._broadcaster.watched(_IDLE_SECONDS[name])

    async def _publish(self, refresh_seconds: float) -> None:
        while True:
            state = self._page_state.state(self._clock_ms())
            self._metrics.show(state, self._page_state.tables)
            self._broadcaster.publish(json.encode(state))
            self._turned_at[_PAGE] = monotonic()
            await asyncio.sleep(refresh_seconds)

    async def _poll(self, name: str, source: PolledSource) -> None:
        started = monotonic()
        try:
            seen = await asyncio.to_thread(source.poll, self._clock_ms())
        except SourceAwayError as away:
            if self._page_state.lost(name, str(away), self._clock_ms()):
                cause = f"{away.__cause__!r}"[:_CAUSE_LENGTH_MAX]
                _log.warning("component_lost", extra={"component": name, "detail": str(away), "cause": cause})
            self._count(name, "failed", up=False)
        else:
            if self._page_state.saw(name, seen, self._clock_ms()):
                _log.info("component_seen", extra={"component": name})
            self._count(name, "ok", up=True)
        self._metrics.look_seconds.labels(name).observe(monotonic() - started)

    def _count(self, name: str, result: str, *, up: bool) -> None:
        self._metrics.polls.labels(name, result).inc()
        self._metrics.up.labels(name).set(up)
