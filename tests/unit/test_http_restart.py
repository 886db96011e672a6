"""A server that stops and another that follows: no request of either is lost between them."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from socket import socket

import pytest

from deploy.local import socket_keeper
from deploy.local.socket_keeper import SocketKeeper
from runtime.http.gate import ConnectionLimits, Gate
from runtime.http.server import Port, bind, serve
from runtime.http.socket_store import LISTEN_FDS_START, SocketStore, inherited
from tests.support.stack import ROOT
from tests.unit.test_http_protocol import POST, QUICK, USUAL, Connection, Server, run_

Run = Callable[[Coroutine[object, object, None]], None]
run = run_  # the fixture


class Site:
    """A port with a keeper, served by one server after the other."""

    def __init__(self, folder: Path) -> None:
        listening = bind("127.0.0.1", 0, "PORT")
        self.port = int(listening[0].getsockname()[1])
        self.keeper = SocketKeeper(listening, folder)
        self.server = Server(USUAL, self.port)
        self._connections: list[Connection] = []

    @asynccontextmanager
    async def served(self, limits: ConnectionLimits = USUAL) -> AsyncIterator[Server]:
        """Serve the port as one process would, with all that the keeper holds."""
        stopping, self.server = asyncio.Event(), Server(limits, self.port)
        self.server.let_go.set()
        sockets = [socket(fileno=one) for one in socket_keeper.fetch(self.keeper.address)]
        for one in sockets:
            one.settimeout(0)
        port = Port(self.server.app, sockets[:1], Gate(limits), sockets[1:], SocketStore(self.keeper.address))
        task = asyncio.create_task(
            serve([port], stopping, timeout_keep_alive=60, timeout_graceful_shutdown=3)
        )
        try:
            yield self.server
        finally:
            stopping.set()
            await task

    async def connect(self) -> Connection:
        """Return a connection."""
        self._connections.append(Connection(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self._connections[-1]

    async def closing(self, test: Coroutine[object, object, None]) -> None:
        """Run a test, then close its connections."""
        try:
            await test
        finally:
            for connection in self._connections:
                await connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A port whose keeper lives as long as the test."""
    site = Site(tmp_path)
    yield site
    site.keeper.close()


async def ask(connection: Connection) -> int:
    """Return the status of one request, 0 if it gets no answer."""
    await connection.send(POST, pause_seconds=0)
    answer = await asyncio.wait_for(connection.answer(), 10)
    return answer[0] if answer else 0


def test_a_connection_outlives_the_process_that_served_it(run: Run, site: Site) -> None:
    """A request that is sent while no process runs is answered by the next one, on the same connection."""

    async def test() -> None:
        connection, silent = await site.connect(), await site.connect()
        async with site.served():
            assert await ask(connection) == 200
        await connection.send(POST)
        async with site.served():
            assert await connection.answer() == (200, b"POST /a hi")
            assert await ask(connection) == 200
            assert await ask(silent) == 200

    run(site.closing(test()))


def test_new_connections_wait_for_the_next_process(run: Run, site: Site) -> None:
    """Before the first process, and between two."""

    async def test() -> None:
        first = await site.connect()
        await first.send(POST)
        async with site.served():
            assert await first.answer()
        second = await site.connect()
        await second.send(POST)
        async with site.served():
            assert await second.answer()

    run(site.closing(test()))


def test_a_request_under_way_is_answered_before_the_process_ends(run: Run, site: Site) -> None:
    """Half a head, half a body, a request being handled; then their connections go on in the next process."""

    async def test() -> None:
        connections = [await site.connect() for _ in range(3)]
        async with site.served() as server:
            for connection in connections:
                assert await ask(connection) == 200
            server.let_go.clear()
            for connection, cut in zip(connections, (10, len(POST) - 1, len(POST)), strict=True):
                await connection.send(POST[:cut])
            finishing = asyncio.create_task(finish(connections, server))
        assert await finishing == [200, 200, 200]
        async with site.served():
            assert [await ask(connection) for connection in connections] == [200, 200, 200]

    async def finish(connections: list[Connection], server: Server) -> list[int]:
        await asyncio.sleep(0.3)  # the stop is under way
        for connection, cut in zip(connections, (10, len(POST) - 1, len(POST)), strict=True):
            await connection.send(POST[cut:])
        server.let_go.set()
        answers = [await connection.answer() for connection in connections]
        return [answer[0] if answer else 0 for answer in answers]

    run(site.closing(test()))


def test_restarts_under_load_lose_no_request(run: Run, site: Site) -> None:
    """Twenty connections that never retry, at any moment of five restarts."""

    async def test() -> None:
        stopping = asyncio.Event()
        senders = [asyncio.create_task(send(number, stopping)) for number in range(20)]
        for _ in range(5):
            async with site.served():
                await asyncio.sleep(0.2)
        stopping.set()
        async with site.served():
            statuses = [status for sender in senders for status in await sender]
        assert set(statuses) == {200}
        assert len(statuses) > 200

    async def send(number: int, stopping: asyncio.Event) -> list[int]:
        rng, connection, statuses = random.Random(number), await site.connect(), []
        while not stopping.is_set():
            statuses.append(await ask(connection))
            await asyncio.sleep(rng.random() / 100)
        return statuses

    run(site.closing(test()))


def test_a_connection_of_an_earlier_process_is_not_silent(run: Run, site: Site) -> None:
    """It may stay idle as long as any that had a request."""

    async def test() -> None:
        connection = await site.connect()
        async with site.served():
            assert await ask(connection) == 200
        async with site.served(QUICK):
            await asyncio.sleep(3 * QUICK.head_seconds_max)
            assert await ask(connection) == 200

    run(site.closing(test()))


@pytest.mark.parametrize("linger_seconds", [0.0, 0.5])
def test_without_a_store_an_idle_connection_gets_one_more_answer(run: Run, linger_seconds: float) -> None:
    """Which says `Connection: close`; after the time it is closed."""

    async def test() -> None:
        server, stopping = Server(USUAL), asyncio.Event()
        server.let_go.set()
        listening = bind("127.0.0.1", 0, "PORT")
        server.port = listening[0].getsockname()[1]
        listening[0].listen()
        port = Port(server.app, listening, linger_seconds=linger_seconds)
        task = asyncio.create_task(serve([port], stopping, timeout_graceful_shutdown=3))
        sending, idle = await server.connect(), await server.connect()
        assert [await ask(one) for one in (sending, idle)] == [200, 200]
        stopping.set()
        await asyncio.sleep(0.2)
        await sending.send(POST, pause_seconds=0)
        head = b""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await sending.reader.readuntil(b"\r\n\r\n")

        assert (b"connection: close" in head.lower()) is (linger_seconds > 0)
        assert await asyncio.wait_for(idle.answer(), 2) is None
        await task
        for one in (sending, idle):
            one.writer.close()

    run(test())


def test_a_keeper_that_is_gone_costs_no_request_under_way(run: Run, tmp_path: Path) -> None:
    """As when the whole stack stops: it is answered, its connection closed, and the port is free."""
    site = Site(tmp_path)

    async def test() -> None:
        connection = await site.connect()
        async with site.served() as server:
            assert await ask(connection) == 200
            server.let_go.clear()
            await connection.send(POST)
            site.keeper.close()
            asyncio.get_running_loop().call_later(0.3, server.let_go.set)
        assert await connection.answer() == (200, b"POST /a hi")
        assert await connection.answer() is None
        with pytest.raises(ConnectionRefusedError):
            await site.connect()

    run(site.closing(test()))


def test_a_program_inherits_all_sockets_as_systemd_passes_them(tmp_path: Path) -> None:
    """Hundreds of them, in more than one message; nobody else's announcement is taken for ours."""
    keeper = SocketKeeper(bind("127.0.0.1", 0, "PORT"), tmp_path)
    store = SocketStore(keeper.address)
    code = (
        "import os, json; from runtime.http.socket_store import inherited; kept = inherited(os.environ);"
        "print(json.dumps([len(kept.listening), len(kept.connections), 'LISTEN_FDS' in os.environ,"
        " os.get_inheritable(3)]))"
    )
    listener = socket()
    listener.listen(1000)
    senders = [socket() for _ in range(300)]
    for one in senders:
        one.connect(listener.getsockname())
        assert store.keep(one.fileno())
    store.settle()
    variables = ",".join(os.environ)
    child = [sys.executable, "-m", "deploy.local.child", str(tmp_path), "it", "SIGKILL", variables]
    command = [*child, keeper.address, sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300).stdout
    store.clear()
    store.settle()

    left = socket_keeper.fetch(keeper.address)

    assert json.loads(found) == [1, 300, False, False]
    assert len(left) == 1
    os.close(left[0])
    keeper.close()
    for one in (*senders, listener):
        one.close()


def test_an_announcement_for_another_process_is_ignored() -> None:
    """A parent's variables say nothing about our descriptors."""
    env = {"LISTEN_PID": "1", "LISTEN_FDS": str(LISTEN_FDS_START)}

    assert inherited(env).listening == ()
    assert env == {}
