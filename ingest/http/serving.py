"""Two applications and their addresses -> two HTTP servers in one event loop, until SIGTERM or SIGINT.

Invariants: both addresses are bound before anything else starts; the public port stops first, so that health
can be watched until the end; a server that ends by itself ends the process.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from ingest.settings import Settings
from schemas.environment import SettingsError

# Longer than proxies keep idle connections (60 s), else a POST can meet one that we just closed.
_KEEP_ALIVE_SECONDS = 75


def bind(host: str, port: int, variable: str) -> list[socket.socket]:
    """Return sockets bound to every address of `host`. Raises: SettingsError that names `variable`."""
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            bound.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # `::` alone is IPv4 too; a name with addresses of both kinds has a socket for each.
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, len(found) > 1)
            one.bind(address)
    except OSError as error:
        for one in bound:
            one.close()
        raise SettingsError(f"{variable}: {host}:{port} cannot be had ({error.strerror or error})") from error
    return bound


async def serve(ports: Sequence[tuple[ASGIApp, Sequence[socket.socket]]], settings: Settings) -> None:
    """Serve each application on its sockets until a signal comes, then stop them in this order."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with asyncio.TaskGroup() as group:
        running = []
        for app, sockets in ports:
            server = _server(app, settings)
            running.append((server, group.create_task(_run(server, sockets))))
        await stopping.wait()
        for server, task in running:
            server.should_exit = True
            await task


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`: there are two servers."""
        yield


def _server(app: ASGIApp, settings: Settings) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # its lines would hold the token
            server_header=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            forwarded_allow_ips=list(settings.proxies),
            timeout_graceful_shutdown=int(settings.shutdown_seconds_max),
        )
    )


async def _run(server: _Server, sockets: Sequence[socket.socket]) -> None:
    await server.serve(list(sockets))
    if not server.should_exit:
        raise RuntimeError("an HTTP server ended by itself")
