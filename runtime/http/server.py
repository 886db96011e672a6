"""ASGI applications and their addresses -> HTTP servers in one event loop, until `stopping` is set.

Invariants: addresses are bound before anything else starts; one that is unavailable is an invalid setting.
Servers stop one after the other, each after its requests in flight (see `drain`). Signals belong to
`process`.
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from runtime.environment import SettingsError
from runtime.http.drain import drain
from runtime.http.gate import ConnectionLimits, Gate
from runtime.http.protocol import protocol, resumed
from runtime.http.socket_store import BACKLOG, SocketStore

_OPTIONS = {
    "log_config": None,
    "access_log": False,  # its lines would contain the token in ingest's URL
    "server_header": False,
    "interface": "asgi3",
    "lifespan": "off",
    "ws": "none",
    "backlog": BACKLOG,
}


def bind(host: str, port: int, variable: str) -> list[socket.socket]:
    """Bind sockets to every address of `host`. Raises: SettingsError that names `variable`."""
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            bound.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # `::` alone also covers IPv4; a name with addresses of both kinds gets a socket for each.
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, len(found) > 1)
            one.bind(address)
    except OSError as error:
        for one in bound:
            one.close()
        raise SettingsError(
            f"{variable}: {host}:{port} cannot be bound ({error.strerror or error})"
        ) from error
    return bound


@dataclass(frozen=True, slots=True)
class Port:
    """An application, its sockets, and the limits of its connections."""

    app: ASGIApp
    sockets: Sequence[socket.socket]
    gate: Gate = field(default_factory=lambda: Gate(ConnectionLimits()))
    connections: Sequence[socket.socket] = ()  # left idle by an earlier process
    store: SocketStore | None = None  # keeps idle connections for the next process
    linger_seconds: float = 0.0  # without a store: how long an idle connection may still send a request


async def serve(ports: Sequence[Port], stopping: asyncio.Event, **options: Any) -> None:
    """Serve the ports until `stopping` is set, then stop one after the other; `options`: uvicorn's."""
    async with asyncio.TaskGroup() as group:
        running = []
        for port in ports:
            config = uvicorn.Config(port.app, **(_OPTIONS | {"http": protocol(port.gate)} | options))
            server = _Server(config, port)
            watch = group.create_task(port.gate.watch())
            running.append((port, server, group.create_task(_run(server, port.sockets)), watch))
        await stopping.wait()
        for port, server, task, watch in running:
            server.should_exit = True
            draining = group.create_task(drain(port.gate, port.store, port.linger_seconds))
            await task
            watch.cancel()
            draining.cancel()
            if port.store:
                port.store.settle()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, port: Port) -> None:
        super().__init__(config)
        self._port = port

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and continue those of an earlier process."""
        await super().startup(sockets)
        loop, port = asyncio.get_running_loop(), self._port
        for one in port.connections:
            with suppress(OSError):  # its sender has left
                await loop.connect_accepted_socket(
                    lambda: resumed(port.gate, self.config, self.server_state), one
                )
        if port.store:
            port.store.clear()
            port.store.ready()


async def _run(server: _Server, sockets: Sequence[socket.socket]) -> None:
    await server.serve(list(sockets))
    if not server.should_exit:
        raise RuntimeError("an HTTP server ended unexpectedly")
