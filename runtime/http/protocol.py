"""uvicorn's HTTP protocol over httptools, with bounds on the cost of a connection.

The connections of one port share a `Gate`, which bounds their number. Bounded here are: the time that a
request may take to arrive; number and length of header lines; the number of pipelined requests. A refusal is
answered with `application/problem+json`, counted and logged by the gate's owner, and its connection is
closed; complete requests before it are answered first.

A request with `Upgrade:` is served as plain HTTP, with its body, as a server may do (RFC 9110, 7.8). But
httptools ends such a request at its head, so it is fed again without the upgrade headers.

Invariant: a request costs no timer. Time limits are checked once a second for all connections.
"""

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from runtime.http.exchange import EXTENSIONS, Exchange, plain_head, refusal
from runtime.http.gate import SILENT, Gate, RefusedRequest

_LINGER_SECONDS = 2.0
_READ_AHEAD_MAX = 256  # pipelined requests
_LENIENT = {"lenient_data_after_close": True}  # as uvicorn


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


def protocol(gate: Gate) -> Callable[..., asyncio.Protocol]:
    """Return what makes the protocol of a new connection; uvicorn calls it as its `http` class."""
    return partial(_Connection, gate)


def resumed(gate: Gate, config: Config, server_state: ServerState) -> asyncio.Protocol:
    """Return the protocol of a connection that an earlier process left idle."""
    connection = _Connection(gate, config, server_state, {})
    connection.is_resumed = True
    return connection


class _Connection(HttpToolsProtocol):
    def __init__(self, gate: Gate, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._gate = gate
        self.is_resumed = False  # had requests in an earlier process
        self._refused = False
        self._ended = 0.0  # when the last bytes were sent
        self._idle_since = 0.0  # when the last answer was complete, if nothing came since
        self._whole: object = None  # the cycle whose request is complete
        self._unanswered: list[Exchange] = []
        self._had_body = False  # whether the current data had a piece of a body
        self._head_bytes = 0
        self._began = self.loop.time()  # start of the incoming request, or of the connection
        self._seen: object = None  # the scope that `_began` belongs to

    # uvicorn's and the parser's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.is_resumed:
            self._idle_since = self.loop.time()
        if not self._gate.admit(self):
            self.refuse(_FULL)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gate.connections.discard(self)
        for cycle in self._unanswered:  # uvicorn marks only the last one
            cycle.disconnected = not cycle.response_complete
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._idle_since = 0.0
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
        scope, before = self.scope, self.cycle
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = version = self.parser.get_http_version()
        if self.parser.should_upgrade():
            return  # fed again without the upgrade, see `_feed`
        path, _, query = self.url.partition(b"#")[0].partition(b"?")
        if not path.startswith(b"/"):  # http://host/path
            path = httptools.parse_url(path).path or b"/"
        scope["raw_path"], scope["query_string"] = path, query
        scope["path"] = unquote(path.decode("ascii"))
        scope["extensions"] = EXTENSIONS
        self.cycle = Exchange(
            scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            self.access_log,
            self.server_state.default_headers,
            asyncio.Event(),
            self.expect_100_continue,
            version != "1.0" and self.parser.should_keep_alive() and not self._gate.closing,
            self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._unanswered = [self.cycle]
            self._start_asgi_task(self.cycle, self.app)
        else:
            self._unanswered = [one for one in self._unanswered if not one.response_complete]
            self._unanswered.append(self.cycle)
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

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

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refused:
            self.transport.close()
        else:
            self._idle_since = self.loop.time()

    def _should_upgrade(self) -> bool:
        return True  # makes uvicorn leave upgrade requests to `_feed`

    # Bounds

    def check(self, now: float) -> None:
        """Close this connection if it is late; called every `check_seconds`."""
        if self._ended and now - self._ended > _LINGER_SECONDS:
            self.transport.abort()
        if self._idle_since and now - self._idle_since > self.timeout_keep_alive:
            self.transport.close()
        phase, limits = self._phase(), self._gate.limits
        is_silent = phase is _Phase.IDLE and not self._idle_since
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
        return (True, self._idle_since) if self._idle_since else (False, self._began)

    def leave(self, reason: str = "") -> None:
        """Close this connection at once, without an answer; no `reason`: the supervisor keeps it open."""
        self._refused = True
        self._gate.connections.discard(self)
        if reason:
            self._gate.closed(reason)
        self.transport.abort()

    def close(self) -> None:
        """Close this connection once everything is sent."""
        self.transport.close()

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
            self.cycle.waiting_for_100_continue = False  # nothing is written after the end
            self.cycle.message_event.set()
            self._end(b"" if self.cycle.response_started else refusal(why, self.server_state.default_headers))
            return
        if self.cycle is None or self.cycle.response_complete:
            self._end(
                refusal(why, self.server_state.default_headers)
            )  # else it closes once the last of them is answered

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
                data = plain_head(self.scope, self.url) + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(**_LENIENT)
            else:
                return
