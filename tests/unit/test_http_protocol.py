"""The cost of connections, tested with raw sockets against the HTTP server of all our processes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runtime.http.exchange import WholeAnswer
from runtime.http.gate import EVICTED, SILENT, ConnectionLimits, Gate, RefusedRequest
from runtime.http.server import Port, bind, serve
from tests.support.waiting import eventually

USUAL = ConnectionLimits()
# Only for tests of these limits: on a busy machine other requests would exceed them.
QUICK = ConnectionLimits(head_seconds_max=0.2, request_seconds_max=0.2, check_seconds=0.05)
SECONDS_MAX = 20
POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
LAST = POST.replace(b"Host: x", b"Host: x\r\nConnection: close")
Answer = tuple[int, bytes]
_WHOLE = WholeAnswer(Response(b"kept", headers={"x-a": "b"}, media_type="text/plain"))


@dataclass
class Server:
    """One port whose application echoes requests once `let_go` is set."""

    limits: ConnectionLimits
    port: int = 0
    refusals: list[RefusedRequest] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    connections: list["Connection"] = field(default_factory=list)
    cut_off: int = 0  # requests whose sender had disconnected
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            body = await request.body() if "early" not in scope["path"] else b""
        except ClientDisconnect:
            self.cut_off += 1
            return None
        await self.let_go.wait()
        asked = ",".join(name for name in ("upgrade", "connection") if name in request.headers)
        if scope["path"] in ("/whole", "/parts"):
            taken = scope if scope["path"] == "/whole" else {**scope, "extensions": {}}
            return await _WHOLE(taken, receive, send)
        said = f"{request.method} {scope['path']} {body.decode()} {asked}".strip()
        return await Response(said, 401 if "early" in scope["path"] else 200)(scope, receive, send)

    async def connect(self) -> "Connection":
        """Return a connection."""
        self.connections.append(Connection(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.connections[-1]

    async def ask(self, *pieces: bytes) -> list[Answer]:
        """Send pieces one by one, and return all answers until the server closes."""
        connection = await self.connect()
        await connection.send(*pieces)
        return [answer async for answer in connection.answers()]


@dataclass
class Connection:
    """A raw connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes, pause_seconds: float = 0.02) -> None:
        """Send pieces one by one, as long as the server accepts them."""
        with suppress(ConnectionError, RuntimeError):  # the latter is uvloop's
            for piece in pieces:
                self.writer.write(piece)
                await self.writer.drain()
                await asyncio.sleep(pause_seconds)

    async def close(self) -> None:
        """Close the sender's side, and wait until that is done."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    async def answer(self) -> Answer | None:
        """Return the next answer, None when the server has closed."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return int(head.split()[1]), await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def answers(self) -> AsyncIterator[Answer]:
        """Yield all answers until the server closes."""
        while answer := await asyncio.wait_for(self.answer(), SECONDS_MAX):
            yield answer


@asynccontextmanager
async def running(limits: ConnectionLimits = USUAL, keep_alive: int = 60) -> AsyncIterator[Server]:
    """Yield a server that answers at once."""
    server, stopping = Server(limits), asyncio.Event()
    server.let_go.set()
    sockets = bind("127.0.0.1", 0, "PORT")
    server.port = sockets[0].getsockname()[1]
    gate = Gate(limits, server.refusals.append, server.closed.append)
    options = {"timeout_keep_alive": keep_alive, "timeout_graceful_shutdown": 1}
    task = asyncio.create_task(serve([Port(server.app, sockets, gate)], stopping, **options))
    try:
        while not server.connections:
            with suppress(ConnectionError):
                await server.connect()
            await asyncio.sleep(0.01)
        server.connections[0].writer.close()
        yield server
    finally:
        for connection in server.connections:
            await connection.close()
        stopping.set()
        await task


@pytest.fixture(params=["uvloop", "asyncio"], name="run")
def run_(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a test on ingest's event loop and on the ClickHouse front's; no traceback may be logged."""

    def run(test: Awaitable[None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with caplog.at_level(logging.WARNING), asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(test, 60))
        assert [line for line in caplog.records if line.exc_info or line.levelno >= logging.ERROR] == []

    return run


Run = Callable[[Coroutine[Any, Any, None]], None]
CHUNKED = b"2\r\nhi\r\n0\r\n\r\n"


def asking(framing: bytes, protocol: bytes = b"h2c", more: bytes = b"") -> bytes:
    """Return a request head with an upgrade to another protocol."""
    lines = [b"POST /a HTTP/1.1", b"Host: x", b"Upgrade: " + protocol, framing, b"HTTP2-Settings: AAMAAABk"]
    return b"\r\n".join([*lines, b"Connection: Upgrade, HTTP2-Settings" + more, b"", b""])


LENGTH, CHUNKS = b"Content-Length: 2", b"Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    "pieces",
    [
        [asking(LENGTH) + b"hi"],
        [asking(LENGTH), b"h", b"i"],
        [asking(LENGTH)[:-3], asking(LENGTH)[-3:] + b"hi"],
        [asking(CHUNKS) + CHUNKED],
        [asking(CHUNKS), CHUNKED[:4], CHUNKED[4:]],
        [asking(LENGTH, b"websocket") + b"hi"],
        [asking(LENGTH, b"TLS/1.2") + b"hi"],
    ],
    ids=["whole", "pieces", "head in pieces", "chunked", "chunks in pieces", "websocket", "other"],
)
def test_a_request_for_another_protocol_keeps_its_body(run: Run, pieces: list[bytes]) -> None:
    """It is served as plain HTTP, and so are later requests of its connection."""

    async def test() -> None:
        async with running() as server:
            last = (200, b"POST /a hi connection")
            assert await server.ask(*pieces, LAST) == [(200, b"POST /a hi"), last]
            assert server.refusals == []

    run(test())


def test_a_request_for_another_protocol_may_close_the_connection(run: Run) -> None:
    """Other values in `Connection` still apply."""

    async def test() -> None:
        async with running() as server:
            connection = await server.connect()
            connection.writer.write(asking(LENGTH, more=b", close") + b"hi")

            assert await connection.answer() == (200, b"POST /a hi connection")
            assert await connection.answer() is None

    run(test())


def status_of(answer: Answer | None) -> int:
    """Return the status of a refusal, which must be a problem."""
    assert answer
    assert json.loads(answer[1])["status"] == answer[0]
    return answer[0]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        b"POST /a HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /a HTTP/9.9\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHo st: x\r\n\r\n",
    ],
    ids=str,
)
def test_what_is_not_http_is_refused(run: Run, garbage: bytes) -> None:
    """With a problem document, counted; a complete request before it is answered first."""

    async def test() -> None:
        async with running() as server:
            (answer,) = await server.ask(garbage)
            assert status_of(answer) == 400
            whole = (200, b"POST /a hi")
            assert await server.ask(POST + garbage) == [whole]
            assert await server.ask(POST, garbage) == [whole, answer]
            assert [why.status for why in server.refusals] == [400, 400, 400]

    run(test())


def test_a_whole_request_before_garbage_is_answered_however_long_it_takes(run: Run) -> None:
    """Nothing is written in between, and then the connection is closed; also with pipelined requests."""

    async def test() -> None:
        async with running() as server:
            server.let_go.clear()
            one, two = await server.connect(), await server.connect()
            one.writer.write(POST + b"garbage\r\n\r\n")
            two.writer.write(POST * 3 + POST[:-1] + b"\r\n" + b"garbage\r\n\r\n")
            await asyncio.to_thread(eventually, lambda: len(server.refusals) == 2)
            server.let_go.set()

            assert [answer async for answer in one.answers()] == [(200, b"POST /a hi")]
            assert [answer async for answer in two.answers()][:3] == [(200, b"POST /a hi")] * 3
            assert {why.event for why in server.refusals} == {"malformed_request"}

    run(test())


def test_a_body_that_breaks_is_refused_and_given_up(run: Run) -> None:
    """The application learns that no more data comes."""

    async def test() -> None:
        async with running() as server:
            head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
            (answer,) = await server.ask(head, b"nonsense\r\n")
            assert status_of(answer) == 400
            (answer,) = await server.ask(head.replace(b"/a", b"/early"), b"nonsense\r\n")
            assert answer[0] == 401
            assert server.cut_off == 1
            expecting = head.replace(b"\r\n", b"\r\nExpect: 100-continue\r\n", 1)
            (answer,) = await server.ask(expecting + b"nonsense\r\n")  # before the application reads
            assert status_of(answer) == 400
            assert server.cut_off == 2

    run(test())


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % number for number in range(101)) + b"\r\n"],
        [b"GET / HTTP/1.1\r\na: ", *[b"x" * 1024] * 80],
        [b"GET / HTTP/1.1\r\n", *[b"a: b\r\n" * 50] * 3],
        [b"GET /" + b"x" * 70_000],
        [b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", *[b"a: b\r\n" * 50] * 3],
        [b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: ", *[b"x" * 1024] * 80],
        [b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;e=", *[b"x" * 1024] * 80],
    ],
    ids=["many", "a long value", "without end", "a path", "trailers", "a long trailer", "a chunk's line"],
)
def test_header_lines_are_bounded(run: Run, pieces: list[bytes]) -> None:
    """In number and in bytes, also after a body: 431."""

    async def test() -> None:
        async with running() as server:
            connection = await server.connect()
            await connection.send(*pieces, pause_seconds=0)

            assert status_of(await connection.answer()) == 431
            assert [why.status for why in server.refusals] == [431]

    run(test())


def test_a_large_body_is_no_head(run: Run) -> None:
    """In one piece or many; also if it stays unread because the answer came early."""

    async def test() -> None:
        async with running() as server:
            for path, status in ((b"/a", 200), (b"/early", 401)):
                head = b"POST " + path + b" HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
                answers = await server.ask(head, *[b"x" * 100_000] * 10, LAST)
                assert [answer[0] for answer in answers] == [status, 200]
            chunks = [b"64\r\n" + b"x" * 100 + b"\r\n"] * 20_000
            head = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            answers = await server.ask(head + b"".join(chunks) + b"0\r\n\r\n", LAST)
            assert [answer[0] for answer in answers] == [200, 200]
            assert server.refusals == []

    run(test())


def test_what_does_not_come_in_time_is_closed(run: Run) -> None:
    """Silence, a trickling head or body, bare line ends; but not an idle connection after a request."""

    async def test() -> None:
        async with running(QUICK) as server:
            silent, head, body, ends, early, kept = [await server.connect() for _ in range(6)]
            head.writer.write(b"POST /a HTTP/1.1\r\n")
            body.writer.write(POST[:-1])
            early.writer.write(POST.replace(b"/a", b"/early")[:-1])
            kept.writer.write(POST)
            assert (await early.answer() or (0,))[0] == 401
            assert await kept.answer() == (200, b"POST /a hi")
            while len(server.closed) < 2 or len(server.refusals) < 2 or not early.reader.at_eof():
                for connection, piece in ((head, b"a: b\r\n"), (ends, b"\r\n")):
                    await connection.send(piece)

            assert await silent.answer() is None
            assert await ends.answer() is None
            assert await early.answer() is None
            assert status_of(await head.answer()) == 400
            assert status_of(await body.answer()) == 400
            kept.writer.write(POST)
            assert await kept.answer() == (200, b"POST /a hi")
            assert server.closed == [SILENT, SILENT]
            assert server.cut_off == 1
            assert {why.event for why in server.refusals} == {"late_request"}

    run(test())


def test_an_idle_connection_is_closed_after_its_time(run: Run) -> None:
    """Not before, and not as one that never had a request."""

    async def test() -> None:
        async with running(QUICK, keep_alive=1) as server:
            connection = await server.connect()
            for _ in range(2):
                began = asyncio.get_running_loop().time()
                await connection.send(POST, pause_seconds=0.3)
                assert await connection.answer() == (200, b"POST /a hi")

            assert await asyncio.wait_for(connection.answer(), SECONDS_MAX) is None
            # Counted from the last request's first byte: a busy machine only adds to it.
            assert asyncio.get_running_loop().time() - began > 0.9
            assert server.closed == []
            assert server.refusals == []

    run(test())


@pytest.mark.parametrize(
    "request_",
    [
        b"POST PATH HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
        b"POST PATH HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        b"POST PATH HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
        b"POST PATH HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
        b"POST PATH HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" * 3,
    ],
    ids=["usual", "close", "expects", "HTTP/1.0", "pipelined"],
)
def test_a_whole_answer_has_the_lines_of_its_messages(run: Run, request_: bytes) -> None:
    """In another order, and the connection is kept or closed alike."""

    async def answer_of(server: Server, path: bytes) -> tuple[list[bytes], bool]:
        connection = await server.connect()
        await connection.send(request_.replace(b"PATH", path))
        data = b""
        while data.count(b"kept") < request_.count(b"POST") or b"close" in data:
            if not (piece := await asyncio.wait_for(connection.reader.read(10_000), SECONDS_MAX)):
                break
            data += piece
        lines = sorted(line for line in data.split(b"\r\n") if not line.startswith(b"date:"))
        return lines, connection.reader.at_eof()

    async def test() -> None:
        async with running() as server:
            whole, parts = await answer_of(server, b"/whole"), await answer_of(server, b"/parts")
            assert whole == parts
            assert b"x-a: b" in whole[0]
            assert any(b"kept" in line for line in whole[0])

    run(test())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (b"/a?b=c", "/a"),
        (b"/a#b?c", "/a"),
        (b"/a%62?" + b"q" * 60_000, "/ab"),
        (b"http://host:1/a?b", "/a"),
        (b"http://host:1/" + b"?" + b"q" * 60_000, "/"),
    ],
)
def test_the_path_is_found_in_every_form_of_a_url(run: Run, url: bytes, path: str) -> None:
    """Query and fragment are no part of it."""

    async def test() -> None:
        async with running() as server:
            answers = await server.ask(LAST.replace(b"/a", url))
            assert answers == [(200, f"POST {path} hi connection".encode())]

    run(test())


def test_a_slow_answer_is_not_late(run: Run) -> None:
    """A complete request waits for us."""

    async def test() -> None:
        async with running(QUICK) as server:
            server.let_go.clear()
            connection = await server.connect()
            connection.writer.write(POST)
            await asyncio.sleep(3 * QUICK.head_seconds_max)
            server.let_go.set()

            assert await connection.answer() == (200, b"POST /a hi")

    run(test())


def test_requests_are_read_ahead_within_a_bound(run: Run) -> None:
    """Those read are answered in order; then the connection is closed, so the sender knows which."""

    async def test() -> None:
        async with running() as server:
            requests = [b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(10_000)]
            answers = await server.ask(b"".join(requests))

            assert 100 < len(answers) < 1000
            assert [body for _, body in answers] == [b"GET /%d" % number for number in range(len(answers))]
            assert [why.event for why in server.refusals] == ["many_requests_ahead"]

    run(test())


def test_a_sender_that_goes_away_ahead_of_its_answers_is_no_error(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """The request being handled is marked as disconnected, not only the last one read."""

    async def test() -> None:
        async with running() as server:
            connection = await server.connect()
            server.let_go.clear()
            await connection.send(POST + POST + POST)
            connection.writer.transport.abort()
            await asyncio.sleep(0.1)
            server.let_go.set()
            await asyncio.sleep(0.1)

    run(test())

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_new_connection_takes_the_place_of_one_without_a_request(run: Run) -> None:
    """The oldest silent ones first; never one with a request in progress."""

    async def test() -> None:
        async with running(ConnectionLimits(connections_max=8)) as server:
            kept = await server.connect()
            kept.writer.write(POST)
            assert await kept.answer()
            flood = [await server.connect() for _ in range(40)]
            kept.writer.write(POST)
            assert await kept.answer() == (200, b"POST /a hi")
            flood[-1].writer.write(POST)
            assert await flood[-1].answer() == (200, b"POST /a hi")
            assert set(server.closed) == {EVICTED}
            assert len(server.closed) > 30
            assert await flood[0].answer() is None

            server.let_go.clear()
            busy = []
            for _ in range(8):
                busy.append(await server.connect())
                busy[-1].writer.write(POST)
                await asyncio.sleep(0.05)
            assert status_of(await (await server.connect()).answer()) == 500
            server.let_go.set()
            assert [await connection.answer() for connection in busy] == [(200, b"POST /a hi")] * 8

    run(test())
