"""Requests to one address over many connections -> the number of answers, and the latency of each.

Closed loop: each connection sends the next request when it has its answer. Open loop: requests are sent at
fixed times whatever the answers do, and latency counts from the intended time, so that a stall can't hide.
Invariants: only a request answered 200 counts as acknowledged; every request has an event id of its own, and
acknowledged ids are kept. Measured on one core: 40,000 requests/s against a server that does nothing.
"""

import asyncio
import itertools
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

from tests.bench.payloads import Payload, Template, new_id

_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"
_STATUS = slice(9, 12)  # HTTP/1.1 200 OK
_OK = b"200"
_ANSWER_SECONDS_MAX = 30.0
# An open loop that the receiver cannot follow opens no more connections than this; the rest waits.
_CONNECTIONS_MAX = 512
# Requests of an open loop are sent together so often: uvloop's clock knows whole milliseconds, and a sender
# that looks more often takes the core from the broker.
_TICK_SECONDS = 0.002


class NoAnswerError(AssertionError):
    """A connection broke, or an answer did not come in time."""


@dataclass(frozen=True, slots=True)
class Target:
    """The address to post to."""

    port: int
    path: str
    host: str = "127.0.0.1"


@dataclass(slots=True)
class Load:
    """The result of a load."""

    acknowledged: list[bytes] = field(default_factory=list)  # event ids
    refused: Counter[str] = field(default_factory=Counter)  # by status
    latencies: list[float] = field(default_factory=list)  # seconds, of all answers
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of this process

    @property
    def rate(self) -> float:
        """Acknowledged requests per second."""
        return len(self.acknowledged) / self.seconds

    @property
    def cpu_share(self) -> float:
        """The share of a core that sending took."""
        return self.cpu_seconds / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency in seconds that this share of answers stays within."""
        waits = sorted(self.latencies)
        return waits[min(len(waits) - 1, int(len(waits) * share))]


def closed(target: Target, payload: Payload, connections: int, seconds: float) -> Load:
    """Post over that many connections, each as fast as it is answered. Raises: NoAnswerError."""
    return _run(_closed(target, payload, connections, seconds))


def opened(target: Target, payload: Payload, rate: float, seconds: float) -> Load:
    """Post `rate` requests per second, whatever the answers do. Raises: NoAnswerError."""
    return _run(_opened(target, payload, rate, seconds))


def _run(work: Coroutine[Any, Any, Load]) -> Load:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class _Heads:
    """Requests of one payload to one target."""

    def __init__(self, target: Target, payload: Payload) -> None:
        self._turns = itertools.cycle([_head(target, one) for one in payload.templates])

    def next(self) -> tuple[bytes, bytes]:
        """Return an event id and its request."""
        before, after = next(self._turns)
        event_id = new_id()
        return event_id, before + event_id + after


def _head(target: Target, one: Template) -> tuple[bytes, bytes]:
    lines = (
        f"POST {target.path} HTTP/1.1",
        f"host: {target.host}:{target.port}",
        "content-type: application/json",
        f"content-length: {one.size}",
    )
    return "\r\n".join(lines).encode() + _END + one.before, one.after


class _Connection(asyncio.Protocol):
    """One connection with at most one request in flight."""

    def __init__(self, load: Load, answered: Callable[["_Connection"], None]) -> None:
        self._load = load
        self._answered = answered
        self._rest = b""
        self._event_id = b""
        self._since = 0.0
        self._transport: asyncio.Transport | None = None
        self.broken = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's, which does not inherit it

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._event_id:
            self.broken = f"the connection was closed: {exc or 'without an answer'}"
            self._event_id = b""
            self._answered(self)

    def post(self, request: tuple[bytes, bytes], since: float) -> None:
        """Send a request; latency counts from `since`."""
        self._event_id, data = request
        self._since = since
        if self._transport is None:
            self.broken = "the connection was closed"
            self._event_id = b""
            asyncio.get_running_loop().call_soon(self._answered, self)
            return
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        end = data.find(_END)
        length = _LENGTH.search(data, 0, end + 2) if end >= 0 else None
        if end < 0 or len(data) < end + len(_END) + (int(length[1]) if length else 0):
            self._rest = data
            return
        self._rest = b""
        self._load.latencies.append(time.perf_counter() - self._since)
        if data[_STATUS] == _OK:
            self._load.acknowledged.append(self._event_id)
        else:
            self._load.refused[data[_STATUS].decode()] += 1
        self._event_id = b""
        self._answered(self)

    def close(self) -> None:
        if self._transport:
            self._transport.close()


async def _closed(target: Target, payload: Payload, connections: int, seconds: float) -> Load:
    load, heads, loop = Load(), _Heads(target, payload), asyncio.get_running_loop()
    idle: set[_Connection] = set()
    done = loop.create_future()

    def answered(connection: _Connection) -> None:
        now = time.perf_counter()
        if now < end and not connection.broken:
            connection.post(heads.next(), now)
            return
        idle.add(connection)
        if len(idle) == connections and not done.done():
            done.set_result(None)

    made = [await _connect(target, load, answered) for _ in range(connections)]
    cpu, began = time.process_time(), time.perf_counter()
    end = began + seconds
    for connection in made:
        connection.post(heads.next(), time.perf_counter())
    await _finish(made, done, seconds)
    load.seconds, load.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return load


async def _opened(target: Target, payload: Payload, rate: float, seconds: float) -> Load:
    load, heads, loop = Load(), _Heads(target, payload), asyncio.get_running_loop()
    waiting: deque[float] = deque()
    made: list[_Connection] = []
    free: list[_Connection] = []
    done = loop.create_future()
    total, answers = round(rate * seconds), 0

    def answered(connection: _Connection) -> None:
        nonlocal answers
        answers += 1
        if connection.broken or answers == total:
            if not done.done():
                done.set_result(None)
        elif waiting:
            connection.post(heads.next(), waiting.popleft())
        else:
            free.append(connection)

    # Opened before: a proxy in front of the receiver has its connections open as well.
    made = [await _connect(target, load, answered) for _ in range(_CONNECTIONS_MAX)]
    free = [*made]
    cpu, began = time.process_time(), time.perf_counter()
    sent, tick = 0, 0
    while sent < total and not done.done():
        intended = began + tick * _TICK_SECONDS
        await asyncio.sleep(max(0.0, intended - time.perf_counter()))
        tick += 1
        for _ in range(min(total, int(tick * _TICK_SECONDS * rate)) - sent):
            sent += 1
            if free:
                free.pop().post(heads.next(), intended)
            else:
                waiting.append(intended)
    await _finish(made, done, 0)
    load.seconds, load.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    return load


async def _connect(target: Target, load: Load, answered: Callable[[_Connection], None]) -> _Connection:
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            lambda: _Connection(load, answered), target.host, target.port
        )
    except OSError as error:
        raise NoAnswerError(f"{target.host}:{target.port}: {error.strerror or error}") from error
    return connection


async def _finish(made: list[_Connection], done: asyncio.Future[None], seconds: float) -> None:
    """Wait for the last answer, and close. Raises: NoAnswerError."""
    await asyncio.wait([done], timeout=seconds + _ANSWER_SECONDS_MAX)
    for connection in made:
        connection.close()
    broken = [connection.broken for connection in made if connection.broken]
    if broken or not done.done():
        raise NoAnswerError(broken[0] if broken else "answers did not come in time")
