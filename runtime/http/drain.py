"""The connections of a port that stops -> the supervisor's store, or closed after an answer.

Invariant: no connection is closed while a request is under way, and none that the store takes is closed at
all. Without a store, an idle connection may still send a request for a while, and its answer says
`Connection: close`. The request that crosses the close at the end of that time is lost, as HTTP has no way to
prevent it (RFC 9112, 9.6): let the idle timeout of a proxy in front be shorter.
"""

import asyncio

from runtime.http.gate import Gate
from runtime.http.socket_store import SocketStore

_LOOK_SECONDS = 0.01


async def drain(gate: Gate, store: SocketStore | None, linger_seconds: float) -> None:
    """Let go of each connection as soon as it is idle, until cancelled."""
    loop = asyncio.get_running_loop()
    closes_at = loop.time() + linger_seconds
    while True:
        gate.closing = gate.closing or store is None
        for connection in tuple(gate.connections):
            if not connection.is_idle:
                continue
            if store and not gate.closing:
                if store.keep(connection.descriptor):
                    connection.leave()
                    continue
                gate.closing = True
            if loop.time() >= closes_at:
                connection.close()
        await asyncio.sleep(_LOOK_SECONDS)
