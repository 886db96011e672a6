"""HTTP requests -> queries on the engine, as a ClickHouse server answers them: the ASGI application.

Invariants: memory per request is bounded, whatever the size of body or result; an insert begins when its
body is there whole, so a client that dies midway inserts nothing; a reader that goes away takes its query
with it.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import IO, Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from deploy.local.clickhouse import answer, body, play, request
from deploy.local.clickhouse.answer import Head
from deploy.local.clickhouse.engine import Engine, Outcome, Query
from deploy.local.clickhouse.faults import Fault
from deploy.local.clickhouse.request import Asked
from deploy.local.clickhouse.running import Runner, finished
from deploy.local.clickhouse.settings import Settings
from deploy.local.clickhouse.statement import Command, Insert, Read, StatementError, is_insert, parse

# What a server buffers before it sends the status: a fault up to here gets a status of its own.
_HELD_BYTES = 1024 * 1024
_PIECE_BYTES = 256 * 1024
# The statement of an insert must end within this; a server's max_query_size is the same.
_STATEMENT_BYTES_MAX = 256 * 1024
# The text of any other query.
_QUERY_BYTES_MAX = 16 * 1024 * 1024


def make_app(engine: Engine, settings: Settings) -> Starlette:
    """Return the application; its lifespan closes `engine`."""
    runner = Runner(engine, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await runner.close()

    ok = Route("/ping", _ok, methods=["GET", "HEAD"])
    replicas = Route("/replicas_status", _ok, methods=["GET", "HEAD"])
    page = Route("/play", _play, methods=["GET"])
    queries = Route("/", Queries(engine, runner, settings), methods=["GET", "HEAD", "POST"])
    return Starlette(routes=[ok, replicas, page, queries], lifespan=lifespan)


async def _ok(_: Request) -> Response:
    return PlainTextResponse("Ok.\n", media_type="text/html")


async def _play(_: Request) -> Response:
    page = await asyncio.to_thread(play.page)
    return HTMLResponse(page) if page else PlainTextResponse("This engine has no such page.\n", 404)


class Queries:
    """The endpoint that runs queries."""

    def __init__(self, engine: Engine, runner: Runner, settings: Settings) -> None:
        self._engine = engine
        self._runner = runner
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        http = Request(scope, receive)
        head = Head(http.query_params.get("query_id", ""), self._engine.version, self._engine.timezone)
        try:
            request.check_origin(http.headers)
            request.check_password(
                http.query_params, http.headers, self._settings.password.get_secret_value()
            )
            asked = request.read(http.query_params, http.headers)
            head = Head(asked.query_id, self._engine.version, self._engine.timezone)
            if http.method != "POST" and not asked.query:
                await PlainTextResponse("Ok.\n", media_type="text/html")(scope, receive, send)
                return
            await self._answer(http, asked, head, send)
        except Fault as error:
            await answer.fault(send, head, error)
        except ClientDisconnect:
            return

    async def _answer(self, http: Request, asked: Asked, head: Head, send: Send) -> None:
        pieces = body.plain(http, blocks=asked.blocks, bytes_max=self._settings.body_bytes_max)
        text = await _text(asked.query, pieces)
        try:
            statement = parse(text)
        except StatementError as error:
            raise Fault(62, "SYNTAX_ERROR", f"Syntax error ({error}).") from error
        query = Query(
            text="",
            marker="",
            format=asked.format,
            database=asked.database,
            settings=asked.settings,
            parameters=asked.parameters,
            readonly=http.method != "POST",
        )
        match statement:
            case Read():
                await _unless_gone(http, self._read(query, statement, asked, head, send))
            case Insert():
                await self._insert(query, statement, text[statement.data_start :], pieces, head, send)
            case Command():
                outcome = await self._runner.run(replace(query, text=statement.text))
                await answer.whole(send, head, outcome)

    async def _read(self, query: Query, statement: Read, asked: Asked, head: Head, send: Send) -> None:
        if asked.framed:
            # As a server from before framing says; the page at /play, which asks for it, then goes without.
            raise Fault(115, "UNKNOWN_SETTING", "Unknown setting 'framing_output_format'.")
        head = replace(head, format=statement.format or asked.format, encoding=asked.encoding)
        compression = f" COMPRESSION '{asked.encoding}'" if asked.encoding else ""

        def text(path: str) -> str:
            outfile = f"INTO OUTFILE '{path}' TRUNCATE{compression} FORMAT {head.format}"
            return f"{statement.head}\n{outfile}{statement.tail}"

        async with self._runner.pipe(query, text) as (rows, work):
            with tempfile.SpooledTemporaryFile(_HELD_BYTES, dir=str(self._settings.data_dir)) as held:
                await _hold(rows, held, None if asked.wait_end else _HELD_BYTES)
                outcome = await finished(work) if rows.at_eof() else None
                tag = answer.new_tag()
                await send(head.message(200, outcome, {"X-ClickHouse-Exception-Tag": tag}))
                while piece := held.read(_HELD_BYTES):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            while piece := await rows.read(_PIECE_BYTES):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await _end(send, work, head, tag)

    async def _insert(
        self,
        query: Query,
        statement: Insert,
        data: bytes,
        pieces: AsyncIterator[bytes],
        head: Head,
        send: Send,
    ) -> None:
        try:
            with tempfile.TemporaryFile(dir=self._settings.data_dir, buffering=0) as file:
                file.write(data)
                async for piece in pieces:
                    file.write(piece)
                infile = f"FROM INFILE '/dev/fd/{file.fileno()}'"
                text = f"{statement.head}\n{infile} {statement.settings} FORMAT {statement.format}"
                outcome = await self._runner.run(replace(query, text=text))
        except OSError as error:
            raise Fault(243, "NOT_ENOUGH_SPACE", f"Cannot keep the body on disk: {error.strerror}") from error
        await answer.whole(send, head, outcome)


async def _text(query: str, pieces: AsyncIterator[bytes]) -> bytes:
    """Return the statement: from the URL, the body, or both; of an insert, data may follow it."""
    text = bytearray(query.encode(errors="surrogateescape"))
    if text:
        text += b"\n"
    async for piece in pieces:
        text += piece
        if len(text) > _STATEMENT_BYTES_MAX and is_insert(bytes(text[:_STATEMENT_BYTES_MAX])):
            break
        if len(text) > _QUERY_BYTES_MAX:
            raise Fault(
                62, "SYNTAX_ERROR", f"Syntax error: Max query size exceeded: {_QUERY_BYTES_MAX} bytes."
            )
    return bytes(text)


async def _hold(rows: asyncio.StreamReader, held: IO[bytes], bytes_max: int | None) -> None:
    size = 0
    while bytes_max is None or size < bytes_max:
        piece = await rows.read(_PIECE_BYTES)
        if not piece:
            break
        size += held.write(piece)
    held.seek(0)


async def _end(send: Send, work: asyncio.Future[Outcome], head: Head, tag: str) -> None:
    """End a streamed answer; with a fault, by not ending it, so that the client knows."""
    try:
        await finished(work)
    except Fault as error:
        end = b"" if head.encoding else answer.tail(error, head.version, tag)
        await send({"type": "http.response.body", "body": end, "more_body": True})
    else:
        await send({"type": "http.response.body", "body": b""})


async def _unless_gone(http: Request, work: Coroutine[Any, Any, None]) -> None:
    """Run `work`, and cancel it when the client goes away."""
    answering = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(http))
    try:
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not answering.done():
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering
    await answering if not answering.cancelled() else None


async def _gone(http: Request) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass
