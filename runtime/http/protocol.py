"""uvicorn's HTTP protocol over httptools, with bounds on the cost of a connection.

The connections of one port share a `Gate`; pass `Gate.protocol` to uvicorn as its `http` class. Bounded are:
the number of connections; the time that a connection may stay silent or a request may take to arrive; number
and length of header lines; the number of pipelined requests. A refusal is answered with
`application/problem+json`, counted and logged by the gate's owner, and its connection is closed; complete
requests before it are answered first. When the port is full, a connection without a request is closed for a
new one.

A request with `Upgrade:` is served as plain HTTP, with its body, as a server may do (RFC 9110, 7.8). But
httptools ends such a request at its head, so it is fed again without the upgrade headers.

Invariant: a request costs no timer, and no call beyond two overridden uvicorn methods. Time limits are
checked once a second for all connections.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from operator import itemgetter
from typing import Any, NamedTuple

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

_WATCH_SECONDS = 1.0
_SILENT_SHARE = 4  # a quarter of the places suffices for connections whose first request is on its way
_LINGER_SECONDS = 2.0
_READ_AHEAD_MAX = 256  # pipelined requests
_EVICTED_TOGETHER = 16  # a sixteenth at a time, because finding them scans all connections
_PARSED_URL_BYTES_MAX = 65_535  # httptools.parse_url
_LENIENT = {"lenient_data_after_close": True}  # as uvicorn
_ASKS = frozenset({b"upgrade", b"connection", b"http2-settings"})


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of one port."""

    connections_max: int = 1000
    head_seconds_max: float = 20.0  # silence after connecting, and time for a request's head
    request_seconds_max: float = 20.0  # from a request's first byte to its last
    headers_max: int = 100
    head_bytes_max: int = 64 * 1024  # bytes received between two pieces of bodies


class RefusedRequest(NamedTuple):
    """Why a connection is refused with an answer."""

    status: int
    event: str  # log event
    detail: str


class _Phase(Enum):
    IDLE = auto()  # between two requests, or before the first
    HEAD = auto()  # a request's head is incomplete
    BODY = auto()  # its body is incomplete
    HANDLED = auto()  # complete, and not answered yet


_INCOMING = frozenset({_Phase.HEAD, _Phase.BODY})


class _RefusedError(Exception):
    """Carries a refusal out of the parser's callbacks."""

    def __init__(self, why: RefusedRequest) -> None:
        super().__init__(why.event)
        self.why = why


_MALFORMED = RefusedRequest(400, "malformed_request", "this is not valid HTTP")
_LARGE_HEAD = RefusedRequest(431, "large_head", "too many or too long header lines")
_READ_AHEAD = RefusedRequest(400, "many_requests_ahead", "wait for answers before sending more requests")
_LATE = RefusedRequest(400, "late_request", "the request did not arrive in time: send again")
_FULL = RefusedRequest(500, "connections_full", "too many connections: send again")

SILENT, EVICTED = "silent", "evicted"  # closed without an answer: no request came; made room


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
        self.connections: set[_Connection] = set()

    def protocol(self, config: Config, server_state: ServerState, app_state: dict[str, Any], **_: Any) -> Any:
        """Build the protocol of a new connection; uvicorn calls this as its `http` class."""
        return _Connection(self, config, server_state, app_state)

    def resume(self, config: Config, server_state: ServerState) -> "_Connection":
        """Build the protocol of a connection that an earlier process left idle."""
        connection = _Connection(self, config, server_state, {})
        connection.had_requests = True
        return connection

    async def watch(self) -> None:
        """Close late and silent connections, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            now = loop.time()
            for connection in tuple(self.connections):
                connection.check(now)

    def admit(self, connection: "_Connection") -> None:
        """Count a new connection; if the port is full, evict connections without a request."""
        if len(self.connections) >= self.limits.connections_max:
            for one in (victims := self._victims()):
                one.leave(EVICTED)
            if not victims:
                connection.refuse(_FULL)
                connection.transport.close()
                return
        self.connections.add(connection)

    def _victims(self) -> "list[_Connection]":
        """Choose connections to evict, several at once, because choosing scans all connections.

        Prefers the oldest that never had a request, if they exceed their share; else those idle after a
        request.
        """
        idle: list[tuple[float, _Connection]] = []
        silent: list[tuple[float, _Connection]] = []
        for one in self.connections:
            if since := one.idle_since():
                (idle if since[0] else silent).append((since[1], one))
        together = 1 + self.limits.connections_max // _EVICTED_TOGETHER
        over = len(silent) - self.limits.connections_max // _SILENT_SHARE
        victims, count = (silent, over + together) if over > 0 or not idle else (idle, together)
        return [one for _, one in sorted(victims, key=itemgetter(0))[: max(count, 1)]]


class _Connection(HttpToolsProtocol):
    def __init__(
        self, gate: Gate, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._gate = gate
        self.had_requests = False  # in an earlier process
        self._refused = False
        self._ended = 0.0  # when the last bytes were sent
        self._whole: object = None  # the cycle whose request is complete
        self._unanswered: list[RequestResponseCycle] = []
        self._had_body = False  # whether the current data had a piece of a body
        self._head_bytes = 0
        self._began = self.loop.time()  # start of the incoming request, or of the connection
        self._seen: object = None  # the scope that `_began` belongs to

    # uvicorn's and the parser's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.had_requests:
            self.on_response_complete()
        self._gate.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._gate.connections.discard(self)
        for cycle in self._unanswered:  # uvicorn marks only the last one
            cycle.disconnected = not cycle.response_complete
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._had_body = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self.refuse(cause.why if isinstance(cause, _RefusedError) else _MALFORMED)
            return
        if self._had_body or self._phase() not in _INCOMING:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        limits = self._gate.limits
        if self._head_bytes > limits.head_bytes_max or len(self.headers) > limits.headers_max:
            self.refuse(_LARGE_HEAD)

    def on_headers_complete(self) -> None:
        if len(self.headers) > self._gate.limits.headers_max:
            raise _RefusedError(_LARGE_HEAD)
        if len(self.pipeline) >= _READ_AHEAD_MAX:
            raise _RefusedError(_READ_AHEAD)
        before, url = self.cycle, self.url
        # uvicorn's parser limits the length of a URL, so split off a longer query.
        self.url, mark, query = url.partition(b"?") if len(url) > _PARSED_URL_BYTES_MAX else (url, b"", b"")
        super().on_headers_complete()
        self.url = url
        if mark:
            self.scope["query_string"] = query.partition(b"#")[0]
        if self.cycle is not before:
            self._unanswered = [one for one in self._unanswered if not one.response_complete]
            self._unanswered.append(self.cycle)
            if self._gate.closing:
                self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._had_body = True
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            return  # an upgrade request, which is fed again
        self._whole = cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def shutdown(self) -> None:
        """Close after the answer, if this process keeps no connection; `drain` closes idle ones."""
        if self._gate.closing and self.cycle is not None:
            self.cycle.keep_alive = False

    def _should_upgrade(self) -> bool:
        return True  # makes uvicorn leave upgrade requests to `_feed`

    # Bounds

    def check(self, now: float) -> None:
        """Close this connection if it is late; called once a second."""
        if self._ended and now - self._ended > _LINGER_SECONDS:
            self.transport.abort()
        phase, limits = self._phase(), self._gate.limits
        is_silent = phase is _Phase.IDLE and self.timeout_keep_alive_task is None
        if self._refused or not (is_silent or (phase in _INCOMING and not self.flow.read_paused)):
            self._seen = None
        elif self._seen is not self.scope:
            self._seen, self._began = self.scope, now
        elif now - self._began > (
            limits.request_seconds_max if phase is _Phase.BODY else limits.head_seconds_max
        ):
            if is_silent:
                self.leave(SILENT)
            else:
                self.refuse(_LATE)

    def idle_since(self) -> tuple[bool, float] | None:
        """Return whether it had a request before, and a sort key; None while a request is handled."""
        if self._refused or self._phase() is _Phase.HANDLED or self.flow.read_paused:
            return None
        timer = self.timeout_keep_alive_task
        return (True, timer.when()) if timer else (False, self._began)

    def leave(self, reason: str = "") -> None:
        """Close this connection at once, without an answer; no `reason`: the supervisor keeps it open."""
        self._refused = True
        self._gate.connections.discard(self)
        if reason:
            self._gate.closed(reason)
        self.transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether all requests that arrived here are answered, to the last byte."""
        unsent = self.transport.get_write_buffer_size() or self.transport.is_closing()
        return not (self._refused or unsent) and self._phase() is _Phase.IDLE

    @property
    def descriptor(self) -> int:
        """The connection's file descriptor."""
        return int(self.transport.get_extra_info("socket").fileno())

    def refuse(self, why: RefusedRequest) -> None:
        """Send the refusal and close; a complete request before it is answered instead."""
        self._gate.refused(why)
        self._refused = True
        is_own = self._phase() is _Phase.BODY  # the refused request was already handed on
        if is_own and self.pipeline:
            self.pipeline.popleft()
        elif is_own:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._end(b"" if self.cycle.response_started else self._answer(why))
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.timeout_keep_alive = 0  # closes once the last of them is answered
        else:
            self._end(self._answer(why))

    def _end(self, answer: bytes) -> None:
        """Send the last bytes and let the sender close: closing first could lose them."""
        self._ended = self.loop.time()
        self.transport.write(answer)
        self.transport.write_eof()

    def _phase(self) -> _Phase:
        cycle: RequestResponseCycle | None = self.cycle
        scope: object = self.scope
        if scope is None:
            return _Phase.IDLE
        if cycle is None or cycle.scope is not scope:
            return _Phase.HEAD
        if self._whole is not cycle:
            return _Phase.BODY
        return _Phase.IDLE if cycle.response_complete else _Phase.HANDLED

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = b"".join(self._without_asking()) + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(**_LENIENT)
            else:
                return

    def _without_asking(self) -> Iterator[bytes]:
        """Yield the request's head again, without the upgrade headers."""
        if self.scope["method"] == "CONNECT":
            raise httptools.HttpParserError
        method, version = self.scope["method"], self.scope["http_version"]
        yield b"".join((method.encode(), b" ", self.url, b" HTTP/", version.encode(), b"\r\n"))
        for name, value in self.headers:
            if name not in _ASKS:
                yield name + b": " + value + b"\r\n"
            elif name == b"connection" and b"close" in value.lower():
                yield b"connection: close\r\n"
        yield b"\r\n"

    def _answer(self, why: RefusedRequest) -> bytes:
        status = HTTPStatus(why.status)
        body = json.dumps({"title": status.phrase, "status": why.status, "detail": why.detail}).encode()
        lines = [
            f"HTTP/1.1 {why.status} {status.phrase}",
            *(f"{name.decode()}: {value.decode()}" for name, value in self.server_state.default_headers),
            "content-type: application/problem+json",
            f"content-length: {len(body)}",
            "connection: close",
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
