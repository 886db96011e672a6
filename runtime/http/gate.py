"""The connections of one port -> which of them may stay.

Bounded are the number of connections, and the time that one may stay silent. When the port is full,
connections without a request make room for a new one.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, Protocol

_SILENT_SHARE = 4  # a quarter of the places suffices for connections whose first request is on its way
_EVICTED_TOGETHER = 16  # a sixteenth at a time, because finding them scans all connections

SILENT, EVICTED = "silent", "evicted"  # closed without an answer: no request came; made room


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of one port."""

    connections_max: int = 1000
    head_seconds_max: float = 20.0  # silence after connecting, and time for a request's head
    request_seconds_max: float = 20.0  # from a request's first byte to its last
    headers_max: int = 100
    head_bytes_max: int = 64 * 1024  # bytes received between two pieces of bodies
    check_seconds: float = 1.0  # how often time limits are checked


class RefusedRequest(NamedTuple):
    """Why a connection is refused with an answer."""

    status: int
    event: str  # log event
    detail: str


class Guarded(Protocol):
    """A connection, as its gate sees it."""

    def check(self, now: float) -> None:
        """Close this connection if it is late; called every `check_seconds`."""

    def idle_since(self) -> tuple[bool, float] | None:
        """Return whether it had a request before, and a sort key; None while a request is handled."""

    def leave(self, reason: str = "") -> None:
        """Close this connection at once, without an answer; no `reason`: the supervisor keeps it open."""

    def close(self) -> None:
        """Close this connection once everything is sent."""

    @property
    def is_idle(self) -> bool:
        """Whether all requests that arrived here are answered, to the last byte."""

    @property
    def descriptor(self) -> int:
        """The connection's file descriptor."""


class Gate:
    """State shared by the connections of one port."""

    def __init__(
        self,
        limits: ConnectionLimits,
        refused: Callable[[RefusedRequest], object] = lambda _: None,
        closed: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`refused` gets each refusal; `closed` gets the reason of each close without an answer."""
        self.limits = limits
        self.refused = refused
        self.closed = closed
        self.closing = False  # whether each answer is the last one of its connection
        self.connections: set[Guarded] = set()

    async def watch(self) -> None:
        """Close late and silent connections, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.limits.check_seconds)
            now = loop.time()
            for connection in tuple(self.connections):
                connection.check(now)

    def admit(self, connection: Guarded) -> bool:
        """Count a new connection and return True, or return False if the port is full.

        If it is full, connections without a request are evicted first.
        """
        if len(self.connections) >= self.limits.connections_max:
            for one in (victims := self._victims()):
                one.leave(EVICTED)
            if not victims:
                return False
        self.connections.add(connection)
        return True

    def _victims(self) -> list[Guarded]:
        """Choose connections to evict, several at once, because choosing scans all connections.

        Prefers the oldest that never had a request, if they exceed their share; else those idle after a
        request.
        """
        idle: list[tuple[float, Guarded]] = []
        silent: list[tuple[float, Guarded]] = []
        for one in self.connections:
            if since := one.idle_since():
                (idle if since[0] else silent).append((since[1], one))
        together = 1 + self.limits.connections_max // _EVICTED_TOGETHER
        over = len(silent) - self.limits.connections_max // _SILENT_SHARE
        victims, count = (silent, over + together) if over > 0 or not idle else (idle, together)
        return [one for _, one in sorted(victims, key=itemgetter(0))[: max(count, 1)]]
