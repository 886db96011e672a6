"""Queries -> threads beside the event loop, with limits, output through a pipe, and cancellation.

Invariants: no query outlives its `async with`: leaving early (the client is gone, the server stops) kills it
and waits for its thread. Reads and writes have separate limits, so readers never block a writer.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import FileIO

from deploy.local.clickhouse import native
from deploy.local.clickhouse.engine import Engine, Outcome, Query
from deploy.local.clickhouse.faults import FrontError
from deploy.local.clickhouse.sessions import Sessions
from deploy.local.clickhouse.settings import Settings
from deploy.local.clickhouse.statement import Command, Statement, Statements

_PIPE_BYTES = 1024 * 1024
_KILL_AGAIN_SECONDS = 0.1
# A text is parsed in a millisecond or two, and must not queue behind a query.
_PARSERS = 4


Convert = Callable[[Callable[[int], bytes], Callable[[bytes], object]], None]
Output = contextlib.AbstractContextManager[None]  # closes the query's output
Piped = tuple[asyncio.StreamReader, asyncio.Future[Outcome]]


class Runner:
    """Runs queries on `engine`, a bounded number at once."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._reads = _Places(settings.queries_max)
        self._writes = _Places(settings.inserts_max)
        # Two more, for killing queries when all others are busy.
        self._threads = ThreadPoolExecutor(settings.queries_max + settings.inserts_max + 2, "query")
        self._statements = Statements(engine.ask)
        self._parsing = ThreadPoolExecutor(_PARSERS, "parse")
        self._markers: dict[str, str] = {}  # of running queries, by the client's query_id
        self.sessions = Sessions(settings.sessions_max)
        self._converting = ThreadPoolExecutor(settings.queries_max, "convert")

    async def parse(self, text: bytes) -> Statement:
        """Parse `text` as the engine does. Raises: FrontError."""
        if known := self._statements.known(text):
            return known
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._parsing, self._statements.parse, text)

    @contextlib.asynccontextmanager
    async def pipe(
        self, query: Query, make_text: Callable[[str], bytes], convert: Convert | None = None
    ) -> AsyncIterator[Piped]:
        """Run a query that writes into a pipe; yield the pipe and the future outcome.

        `make_text` gets the path to write to; `convert` changes the output. Raises: FrontError if the limit
        of queries is reached.
        """
        with self._reads.taken():
            read_fd, write_fd = os.pipe()
            transport, reader = await _reader(read_fd)
            output: Output = _closing(write_fd)
            if convert:
                write_fd, output = self._converted(convert, write_fd)
            query = replace(query, text=make_text(f"/dev/fd/{write_fd}"), marker=_marker(query))
            with contextlib.closing(transport):
                async with self._running(query, output) as work:
                    with contextlib.closing(transport):  # first: the query may wait for its reader
                        yield reader, work

    def _converted(self, convert: Convert, out_fd: int) -> tuple[int, Output]:
        """Return a descriptor that feeds `convert`, and a context that closes everything."""
        in_fd, write_fd = os.pipe()

        def job() -> None:
            with os.fdopen(in_fd, "rb", 0) as source, os.fdopen(out_fd, "wb", 0) as target:
                convert(source.read, partial(_write, target))

        return write_fd, _closing(write_fd, self._converting.submit(job))

    async def run(self, query: Query) -> Outcome:
        """Run an insert or a command to its end. Raises: FrontError."""
        with self._writes.taken():
            async with self._running(replace(query, marker=_marker(query)), contextlib.nullcontext()) as work:
                return await finished(work)

    async def killing(self, command: Command, query: Query) -> Query:
        """Replace the clients' query ids in a KILL by the engine's own, in text and parameters."""
        strings = (command.text[start + 1 : end - 1] for start, end in command.strings)
        values = {*(string.decode(errors="replace") for string in strings), *query.parameters.values()}
        named = values & self._markers.keys()
        if command.kind != "KILL" or not named:
            return query
        markers = {self._markers[query_id]: query_id for query_id in named}
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._parsing, self._engine.query_ids, tuple(markers))
        own = {markers[marker]: query_id for marker, query_id in found.items()}
        text = command.text
        for start, end in sorted(command.strings, reverse=True):
            query_id = text[start + 1 : end - 1].decode(errors="replace")
            if query_id in own:
                text = text[:start] + f"'{own[query_id]}'".encode() + text[end:]
        parameters = {name: own.get(value, value) for name, value in query.parameters.items()}
        return replace(query, text=text, parameters=parameters)

    async def close(self) -> None:
        """Wait for the threads, then close the engine."""
        await asyncio.to_thread(self._threads.shutdown)
        await self.sessions.close()
        await asyncio.to_thread(self._parsing.shutdown)
        await asyncio.to_thread(self._converting.shutdown)
        await asyncio.to_thread(self._engine.close)

    @contextlib.asynccontextmanager
    async def _running(self, query: Query, output: Output) -> AsyncIterator[asyncio.Future[Outcome]]:
        def job() -> Outcome:
            with output:
                return self._engine.run(query)

        if query.query_id in self._markers:
            with output:
                detail = f"Query with id = {query.query_id} is already running."
                raise FrontError(216, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING", detail)
        self._markers[query.query_id] = query.marker
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._threads, job)
        try:
            yield work
        finally:
            del self._markers[query.query_id]
            while not work.done():
                await loop.run_in_executor(self._threads, self._engine.kill, query.marker)
                await asyncio.wait({work}, timeout=_KILL_AGAIN_SECONDS)
            work.exception()  # retrieved, so that asyncio does not log it: the client has left


async def finished(work: asyncio.Future[Outcome]) -> Outcome:
    """Return the outcome; unlike `await`, a cancellation here does not cancel `work`. Raises: FrontError."""
    await asyncio.wait({work})
    return work.result()


@contextlib.contextmanager
def _closing(fd: int, converting: Future[None] | None = None) -> Iterator[None]:
    """Close `fd` at the end, and wait for the converter. Raises: FrontError."""
    try:
        yield
    except FrontError:
        os.close(fd)
        error = converting.exception() if converting else None
        # Bytes are missing because the query failed or the client disconnected.
        if error and not isinstance(error, BrokenPipeError) and getattr(error, "code", 0) != native.CUT:
            raise error from None
        raise
    os.close(fd)
    if converting:
        with contextlib.suppress(BrokenPipeError):
            converting.result()


def _marker(query: Query) -> str:
    return query.held.marker if query.held else secrets.token_hex(8)


def _write(target: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[target.write(rest) :]


class _Places:
    """A limited number of places; no queue."""

    def __init__(self, places_max: int) -> None:
        self._max = places_max
        self._taken = 0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        if self._taken >= self._max:
            detail = f"Too many simultaneous queries. Maximum: {self._max}."
            raise FrontError(202, "TOO_MANY_SIMULTANEOUS_QUERIES", detail)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


async def _reader(fd: int) -> tuple[asyncio.ReadTransport, asyncio.StreamReader]:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_PIPE_BYTES)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", 0)
    )
    return transport, reader
