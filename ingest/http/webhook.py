"""POST from Tapcart -> a record that is safe, and its HTTP status. Plain ASGI: this is the hot path.

Invariants: 200 is sent only after `Publisher.publish` returned; no answer holds a payload or a secret.
Source: docs/webhook.md. To request a retry the answer is 400 or 500, the two codes that Tapcart's
documentation names.
"""

import time
from typing import NamedTuple
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive

from ingest.delivery.delivered import Delivered
from ingest.delivery.publisher import NotKeptError
from ingest.http import body
from ingest.http.content_encoding import EncodingError, UnknownEncodingError, decoded
from ingest.http.memory import Memory
from ingest.http.problem import RETRY, problem
from ingest.http.rate import Rate
from ingest.http.receive import Accepted, BodyOrigin, Receiver, Rejected, Rejection
from ingest.metrics import Children, Metrics
from ingest.settings import Settings
from runtime import probe
from runtime.tokens import APPS_HEADER

_KEPT = {kept: Response(f'{{"kept":"{kept}"}}', media_type="application/json") for kept in ("kafka", "spool")}

_APPS_HEADER = APPS_HEADER.lower().encode()


class _SenderHeaders(NamedTuple):
    encoding: str
    apps: frozenset[str] | None  # None: not restricted by the header


_NOTHING = _SenderHeaders("", None)


class Webhook:
    """The webhook endpoint with all its status codes."""

    def __init__(
        self,
        settings: Settings,
        receiver: Receiver,
        publisher: Delivered,
        metrics: Metrics,
    ) -> None:
        self._body_bytes_max = settings.body_bytes_max
        self._requests_max = settings.requests_max
        self._rate = Rate(settings.requests_per_second_max) if settings.requests_per_second_max else None
        self.receiver = receiver  # may be replaced between two requests
        self._publisher = publisher
        self._metrics = metrics
        self._events = Children(metrics.events)
        self.requests = 0  # in flight
        self.memory = Memory(settings.memory_bytes_max)

    async def answer(
        self, receive: Receive, headers: Headers, secret: bytes, apps: frozenset[str]
    ) -> Response:
        """Answer a POST with the token `secret`, which may post for `apps` (empty: every app).

        Raises: ClientDisconnect, NotKeptError; then nothing of the event is kept.
        """
        self.requests += 1
        try:
            return self._refusal(secret) or await self._answer(receive, headers, apps)
        finally:
            self.requests -= 1

    async def _answer(self, receive: Receive, headers: Headers, apps: frozenset[str]) -> Response:
        try:
            sent = await body.read(receive, self._body_bytes_max, self.memory)
        except body.BodyTooLargeError:
            return self._too_large()
        try:
            return await self._keep(sent, headers, apps)
        finally:
            self.memory.give_back(len(sent))

    def _refusal(self, secret: bytes) -> Response | None:
        if self._rate and not self._rate.admits(secret):
            return problem(429, "the token is over its requests per second", headers=RETRY)
        if self.requests > self._requests_max:
            raise NotKeptError(f"over {self._requests_max} requests at once")
        return None

    async def _keep(self, sent: bytes, headers: Headers, apps: frozenset[str]) -> Response:
        began = time.perf_counter()
        now_ms = time.time_ns() // 1_000_000
        sender = _sender_headers(headers)
        if sender.apps is not None:
            apps = apps & sender.apps if apps else sender.apps
            if not apps:
                return problem(403, f"the token is bound to none of the apps in {APPS_HEADER}")
        try:
            received = self._received(sent, headers, now_ms, BodyOrigin(apps, sender.encoding))
        except body.BodyTooLargeError:
            return self._too_large()
        if apps and received.app_id is not None and received.app_id not in apps:
            return problem(403, "the token is not bound to this app_id")
        record_bytes = len(received.record.value)
        self.memory.take(record_bytes)
        try:
            kept = await self._publisher.publish(received.record)
        finally:
            self.memory.give_back(record_bytes)
        self._metrics.request_seconds.observe(time.perf_counter() - began)
        return self._kept(received, kept)

    def _received(
        self, sent: bytes, headers: Headers, now_ms: int, origin: BodyOrigin
    ) -> Accepted | Rejected:
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
        return self.receiver.receive(plain, headers, now_ms, BodyOrigin(origin.apps))

    def _kept(self, received: Accepted | Rejected, kept: str) -> Response:
        if isinstance(received, Rejected):
            if received.reason == probe.REASON:
                self._metrics.probes.inc()
                return _KEPT[kept]
            self._metrics.quarantined.labels(received.reason).inc()
            return problem(received.status, received.detail, received.faults)
        self._events[received.event_type, kept].inc()
        if received.unknown:
            self._metrics.unknown_fields.labels(received.event_type).inc(received.unknown)
        for field in received.odd:
            self._metrics.odd_fields.labels(received.event_type, field).inc()
        return _KEPT[kept]

    def _too_large(self) -> Response:
        return problem(413, f"the body is over {self._body_bytes_max} bytes")


def _sender_headers(headers: Headers) -> _SenderHeaders:
    """Read the body's encoding and the allowed apps from the headers, in one pass."""
    encoding = ""
    apps: frozenset[str] | None = None
    for name, value in headers.raw:
        if name == b"content-encoding":
            encoding = f"{encoding},{value.decode('latin-1')}" if encoding else value.decode("latin-1")
        elif name == _APPS_HEADER:
            apps = frozenset(map(unquote, value.decode("latin-1").split("|")))
    return _SenderHeaders(encoding, apps) if encoding or apps is not None else _NOTHING
