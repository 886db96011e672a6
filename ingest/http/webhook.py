"""The public port: a POST from Tapcart -> a record that is safe, and the answer. Plain ASGI: the hot path.

`POST /tapcart_webhooks/{token}`, optionally with a trailing slash, or with the token as `Authorization:
Bearer`. GET and HEAD answer monitors and URL checks. Invariants: 200 is sent only after `Publisher.publish`
returned; no answer holds a payload or a secret; every answer is counted by status; a wrong path is logged
without its secret. Source: docs/webhook.md. To request a retry the answer is 400 or 500, the two codes that
Tapcart's documentation names.
"""

import logging
import time
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ingest.delivery.publisher import NotKeptError, Publisher
from ingest.http import body
from ingest.http.access import PATH, SenderAccess, secret_of
from ingest.http.answers import KEPT, RETRY, Answer, our_fault, problem
from ingest.http.content_encoding import EncodingError, UnknownEncodingError, decoded
from ingest.http.guesses import Guesses
from ingest.http.memory import Memory
from ingest.http.rate import Rate
from ingest.http.receive import Accepted, BodyOrigin, Receiver, Rejected, Rejection
from ingest.http.refusals import Refusals, redacted
from ingest.metrics import Metrics
from ingest.settings import Settings
from runtime import probe
from runtime.kafka import record_headers
from runtime.tokens import APPS_HEADER, Token

_LOG = logging.getLogger(__name__)

_ALLOWED = {"allow": "POST, GET, HEAD"}
_WELCOME = PlainTextResponse("This is Tapline's webhook: send it events by POST, one JSON object each.\n")
_COUNTED_WITH_THEIR_LINE = frozenset({404, 405})
_WELCOME_METHODS = frozenset({"GET", "HEAD"})
_APPS_HEADER = APPS_HEADER.lower().encode()
_TRACEPARENT = record_headers.TRACEPARENT.encode()


class Webhook:
    """The public port's ASGI application: the webhook and nothing else."""

    def __init__(
        self,
        settings: Settings,
        receiver: Receiver,
        access: SenderAccess,
        publisher: Publisher,
        metrics: Metrics,
    ) -> None:
        self.receiver = receiver  # may be replaced between two requests
        self.access = access  # may be replaced between two requests
        self.guesses = Guesses()
        self.refusals = Refusals(metrics.requests)
        self.requests = 0  # in flight
        self.memory = Memory(settings.memory_bytes_max)
        self._body_bytes_max = settings.body_bytes_max
        self._requests_max = settings.requests_max
        self._rate = Rate(settings.requests_per_second_max) if settings.requests_per_second_max else None
        self._publisher = publisher
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; if the sender has disconnected, keep nothing of its event."""
        try:
            answer = await self._answer(scope, receive)
        except ClientDisconnect:
            return
        except NotKeptError as error:
            self.refusals.log("event_not_kept", status=500, reason=str(error))
            answer = problem(500, f"the event is not kept ({error}): send it again", headers=RETRY)
        except Exception:  # noqa: BLE001 - whatever was sent, it costs this request alone
            _LOG.exception("request_failed")
            answer = our_fault()
        if answer.status_code not in _COUNTED_WITH_THEIR_LINE:
            self._metrics.requests[answer.status_code,] += 1
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        token = self.access.token(scope)
        if token is None or scope["method"] != "POST" or not self.access.admits(scope):
            return await self._turn_away(scope, token)
        if self._rate and not self._rate.admits(token.secret):
            return problem(429, "the token is over its requests per second", headers=RETRY)
        if self.requests >= self._requests_max:
            raise NotKeptError(f"over {self._requests_max} requests at once")
        self.requests += 1
        held_bytes = 0
        try:
            sent = await body.read(receive, self._body_bytes_max, self.memory)
            held_bytes = len(sent)
            began = time.perf_counter()
            received = self._received(sent, scope, token)
            record_bytes = len(received.record.value)
            self.memory.take(record_bytes)
            held_bytes += record_bytes
            kept = await self._publisher.publish(received.record)
            self._metrics.request_seconds.observe(time.perf_counter() - began)
            return self._kept(received, kept)
        except _ForbiddenError as error:
            return problem(403, str(error))
        except body.BodyTooLargeError:
            return problem(413, f"the body is over {self._body_bytes_max} bytes")
        finally:
            self.memory.give_back(held_bytes)
            self.requests -= 1

    async def _turn_away(self, scope: Scope, token: Token | None) -> Answer:
        """Answer a request that is no POST with a right token from an allowed address."""
        method = scope["method"]
        if secret_of(scope) is None:
            self.refusals.note(404, "wrong_path", method=method, path=redacted(scope["path"]))
            return problem(404, f"the only path is POST {PATH}/{{token}}")
        if method != "POST" and method not in _WELCOME_METHODS:
            self.refusals.note(405, "wrong_method", method=method)
            return problem(405, "send a POST", headers=_ALLOWED)
        if token is None:
            close = {} if await self.guesses.slow_down() else {"connection": "close"}
            headers = {"www-authenticate": "Bearer"} | close
            return problem(401, "the token is missing or unknown", headers=headers)
        return _WELCOME if self.access.admits(scope) else problem(403, "this address may not post")

    def _received(self, sent: bytes, scope: Scope, token: Token) -> Accepted | Rejected:
        """Turn a body into its record. Raises: BodyTooLargeError, _ForbiddenError."""
        now_ms = time.time_ns() // 1_000_000
        origin = _origin(scope["headers"], token.app_ids)
        received = self._decoded(sent, Headers(scope=scope), now_ms, origin)
        if origin.apps and received.app_id is not None and received.app_id not in origin.apps:
            raise _ForbiddenError("the token is not bound to this app_id")
        return received

    def _decoded(self, sent: bytes, headers: Headers, now_ms: int, origin: BodyOrigin) -> Accepted | Rejected:
        if not origin.content_encoding:
            return self.receiver.receive(sent, headers, now_ms, origin)
        try:
            plain = decoded(sent, origin.content_encoding, self._body_bytes_max)
        except UnknownEncodingError:
            detail = "the Content-Encoding must be gzip, deflate, br, zstd or absent"
            return self.receiver.reject(sent, Rejection(415, "content_encoding", detail), now_ms, origin)
        except EncodingError as error:
            why = Rejection(400, "content_encoding", str(error))
            return self.receiver.reject(sent, why, now_ms, origin)
        plain_origin = BodyOrigin(origin.apps, traceparent=origin.traceparent)
        return self.receiver.receive(plain, headers, now_ms, plain_origin)

    def _kept(self, received: Accepted | Rejected, kept: str) -> Answer:
        """Count a kept body and return its answer."""
        if isinstance(received, Rejected):
            if received.reason == probe.REASON:
                self._metrics.probes.inc()
                return KEPT[kept]
            self._metrics.quarantined[received.reason,] += 1
            return problem(received.status, received.detail, received.faults)
        self._metrics.events[received.event_type, kept] += 1
        if received.unknown:
            self._metrics.unknown_fields[received.event_type,] += received.unknown
        for field in received.odd:
            self._metrics.odd_fields[received.event_type, field] += 1
        return KEPT[kept]


class _ForbiddenError(Exception):
    """The sender may not post this event."""


def _origin(headers: list[tuple[bytes, bytes]], apps: frozenset[str]) -> BodyOrigin:
    """Read the body's encoding and trace, and the header that narrows `apps`. Raises: _ForbiddenError."""
    encoding, traceparent = "", b""
    listed: frozenset[str] | None = None
    for name, value in headers:
        if name == b"content-encoding":
            encoding = f"{encoding},{value.decode('latin-1')}" if encoding else value.decode("latin-1")
        elif name == _APPS_HEADER:
            listed = frozenset(map(unquote, value.decode("latin-1").split("|")))
        elif name == _TRACEPARENT:  # several are no valid one
            traceparent = traceparent + b"," + value if traceparent else value
    trace = record_headers.sound_traceparent(traceparent) if traceparent else None
    if listed is None:
        return BodyOrigin(apps, encoding, trace)
    if not (narrowed := apps & listed if apps else listed):
        raise _ForbiddenError(f"the token is bound to none of the apps in {APPS_HEADER}")
    return BodyOrigin(narrowed, encoding, trace)
