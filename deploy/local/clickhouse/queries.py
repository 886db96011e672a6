"""HTTP requests -> queries on the engine, answered like a ClickHouse server: an ASGI endpoint.

Invariants: memory per request is bounded for any size of body or result. An insert starts once its body is
complete, so a client that dies midway inserts nothing. A disconnecting reader cancels its query. GET only
reads.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from functools import partial
from typing import IO, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from deploy.local.clickhouse import access, answer, body, configuration, form, native, packing, request
from deploy.local.clickhouse.answer import Head
from deploy.local.clickhouse.engine import Engine, EngineConnection, Outcome, Query
from deploy.local.clickhouse.faults import FrontError
from deploy.local.clickhouse.request import HttpQuery
from deploy.local.clickhouse.running import Runner, finished
from deploy.local.clickhouse.settings import Settings
from deploy.local.clickhouse.statement import READS, Command, Insert, Read, Statement

# As a server buffers before it sends the status, so a fault within this gets its own status.
_HELD_BYTES = 1024 * 1024
_PIECE_BYTES = 256 * 1024
# The statement of an insert must end within this, like a server's max_query_size.
_STATEMENT_BYTES_MAX = 256 * 1024
# The text of any other query.
_QUERY_BYTES_MAX = 16 * 1024 * 1024
# For clients whose revision supports nothing else.
_JSON_AS_TEXT = {"output_format_native_write_json_as_string": "1"}


class Queries:
    """The endpoint that runs queries."""

    def __init__(self, engine: Engine, runner: Runner, settings: Settings) -> None:
        self._engine = engine
        self._runner = runner
        self._settings = settings
        self._temporary = str(configuration.folder(settings) / "tmp")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        http = Request(scope, receive)
        head = Head("", self._engine.version, self._engine.timezone)
        try:
            params = request.url_parameters(scope["query_string"])
            access.check(http.headers, params, self._settings)
            is_packed = request.is_on(params, "decompress")
            pieces = body.plain(http, blocks=is_packed, bytes_max=self._settings.body_bytes_max)
            if form.is_form(http):  # consumes the body
                params |= await form.fields(http, pieces)
            http_query = request.read(params, http.headers)
            head = replace(head, query_id=http_query.query_id)
            if http.method != "POST" and not http_query.query:
                await PlainTextResponse("Ok.\n", media_type="text/html")(scope, receive, send)
                return
            async with self._runner.sessions.of(http_query.session) as held:
                await self._answer(http, http_query, pieces, held, head, send)
        except FrontError as error:
            await answer.fault(send, head, error)
        except ClientDisconnect:
            return

    async def _answer(
        self,
        http: Request,
        http_query: HttpQuery,
        pieces: AsyncIterator[bytes],
        held: EngineConnection | None,
        head: Head,
        send: Send,
    ) -> None:
        statement, data = await self._statement(http_query.query, pieces)
        readonly = http.method != "POST"
        if readonly and not (isinstance(statement, Read) or (_kind(statement) in READS)):
            raise FrontError(
                164, "READONLY", "default: Cannot execute query in readonly mode: by GET only reads."
            )
        query = Query(
            text=b"",
            marker="",
            query_id=http_query.query_id,
            format=http_query.format,
            database=http_query.database,
            settings=http_query.settings,
            parameters=http_query.parameters,
            readonly=readonly,
            held=held,
        )
        match statement:
            case Read():
                await _unless_gone(http, self._read(query, statement, http_query, head, send))
            case Insert():
                outcome = await self._insert(query, statement, data, pieces)
                await answer.whole(send, head, outcome)
            case Command():
                if http_query.format not in self._engine.formats:
                    raise FrontError(73, "UNKNOWN_FORMAT", f"Unknown format {http_query.format}")
                query = await self._runner.killing(statement, replace(query, text=statement.text))
                outcome = await self._runner.run(query)
                await answer.whole(send, head, outcome)

    async def _statement(self, query: bytes, pieces: AsyncIterator[bytes]) -> tuple[Statement, bytes]:
        """Return the statement from URL and body, and the part of an insert's data already read."""
        if query:
            # A server parses URL and body as one text; an insert that is complete in the URL ends there.
            query += b"\n"
            with contextlib.suppress(FrontError):
                statement = await self._runner.parse(query)
                if isinstance(statement, Insert):
                    return statement, query[statement.data_start :]
        text = bytearray(query)
        insert_bytes = _STATEMENT_BYTES_MAX
        async for piece in pieces:
            text += piece
            if len(text) > insert_bytes:
                insert_bytes = _QUERY_BYTES_MAX
                with contextlib.suppress(FrontError):
                    statement = await self._runner.parse(bytes(text[:_STATEMENT_BYTES_MAX]))
                    if isinstance(statement, Insert):
                        return statement, bytes(text[statement.data_start :])
            if len(text) > _QUERY_BYTES_MAX:
                detail = f"Syntax error: Max query size exceeded: {_QUERY_BYTES_MAX} bytes."
                raise FrontError(62, "SYNTAX_ERROR", detail)
        statement = await self._runner.parse(bytes(text))
        return statement, bytes(text[statement.data_start :]) if isinstance(statement, Insert) else b""

    async def _read(
        self, query: Query, statement: Read, http_query: HttpQuery, head: Head, send: Send
    ) -> None:
        if http_query.framed:
            # As a server without framing answers; the page at /play, which requests it, then does without.
            raise FrontError(115, "UNKNOWN_SETTING", "Unknown setting 'framing_output_format'.")
        head = replace(head, format=statement.format or http_query.format, encoding=http_query.encoding)
        convert = None
        if http_query.revision and head.format == "Native":
            head = replace(head, encoding="")  # the engine's own encoding would hide the blocks
            query = replace(query, settings={**_JSON_AS_TEXT, **query.settings})
            convert = partial(native.frame, revision=http_query.revision)

        def text(path: str) -> bytes:
            return statement.text(path, head.encoding, http_query.format)

        pack = packing.pack if http_query.is_packed else bytes
        async with self._runner.pipe(query, text, convert) as (rows, work):
            with tempfile.SpooledTemporaryFile(_HELD_BYTES, dir=self._temporary) as held:
                await _hold(rows, held, None if http_query.wait_end else _HELD_BYTES)
                outcome = await finished(work) if rows.at_eof() else None
                tag = answer.new_tag()
                await send(head.message(200, outcome, {"X-ClickHouse-Exception-Tag": tag}))
                while piece := held.read(_HELD_BYTES):
                    await send({"type": "http.response.body", "body": pack(piece), "more_body": True})
            while piece := await rows.read(_PIECE_BYTES):
                await send({"type": "http.response.body", "body": pack(piece), "more_body": True})
            await _end(send, work, head, "" if head.encoding or http_query.is_packed else tag)

    async def _insert(
        self, query: Query, statement: Insert, data: bytes, pieces: AsyncIterator[bytes]
    ) -> Outcome:
        try:
            with tempfile.TemporaryFile(dir=self._temporary, buffering=0) as file:
                file.write(data)
                async for piece in pieces:
                    file.write(piece)
                text = statement.text(f"/dev/fd/{file.fileno()}")
                return await self._runner.run(replace(query, text=text))
        except OSError as error:
            raise FrontError(
                243, "NOT_ENOUGH_SPACE", f"Cannot keep the body on disk: {error.strerror}"
            ) from error


def _kind(statement: Statement) -> str:
    return statement.kind if isinstance(statement, Command) else ""


async def _hold(rows: asyncio.StreamReader, held: IO[bytes], bytes_max: int | None) -> None:
    size = 0
    while bytes_max is None or size < bytes_max:
        piece = await rows.read(_PIECE_BYTES)
        if not piece:
            break
        size += held.write(piece)
    held.seek(0)


async def _end(send: Send, work: asyncio.Future[Outcome], head: Head, tag: str) -> None:
    """End a streamed answer; after a fault leave it unfinished, so that the client notices.

    `tag` is empty if the body is compressed, because then nothing can be appended.
    """
    try:
        await finished(work)
    except FrontError as error:
        end = answer.tail(error, head.version, tag) if tag else b""
        await send({"type": "http.response.body", "body": end, "more_body": True})
    else:
        await send({"type": "http.response.body", "body": b""})


async def _unless_gone(http: Request, work: Coroutine[Any, Any, None]) -> None:
    """Run `work`; cancel it if the client disconnects."""
    answering = asyncio.ensure_future(work)  # noqa: TID251 - awaited below
    gone = asyncio.ensure_future(_gone(http))  # noqa: TID251 - cancelled below
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
