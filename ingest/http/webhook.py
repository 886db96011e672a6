"""POST from Tapcart -> a record that is safe, and the status that says so. Plain ASGI: this is the hot path.

Invariants: 200 is sent after `Publisher.publish` returned, never before; no answer holds a payload or a
secret. Source: "HTTP answers" in DESIGN.md. Where a retry is wanted the answer is 400 or 500, the two codes
that Tapcart's documentation names.
"""

import time

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest.delivery.publisher import NotKeptError, Publisher
from ingest.http import body
from ingest.http.access import Access
from ingest.http.guesses import Guesses
from ingest.http.memory import Memory, OverMemoryError
from ingest.http.problem import problem
from ingest.http.rate import Rate
from ingest.http.receive import Accepted, Receiver, Rejected
from ingest.metrics import Children, Metrics
from ingest.settings import Settings
from schemas import probe

_KEPT = {kept: Response(f'{{"kept":"{kept}"}}', media_type="application/json") for kept in ("kafka", "spool")}
_RETRY = {"retry-after": "1"}


class Webhook:
    """The endpoint and all its status codes."""

    def __init__(
        self,
        settings: Settings,
        access: Access,
        receiver: Receiver,
        publisher: Publisher,
        metrics: Metrics,
    ) -> None:
        self.access = access  # may be replaced between two requests, as the receiver
        self.guesses = Guesses()
        self._body_bytes_max = settings.body_bytes_max
        self._requests_max = settings.requests_max
        self._rate = Rate(settings.requests_per_second_max) if settings.requests_per_second_max else None
        self.receiver = receiver  # may be replaced between two requests
        self._publisher = publisher
        self._metrics = metrics
        self._requests, self._events = Children(metrics.requests), Children(metrics.events)
        self.requests = 0  # being handled
        self.memory = Memory(settings.memory_bytes_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a sender that went away gets none, and nothing of its event is kept."""
        headers = Headers(scope=scope)
        secret = _secret(scope, headers)
        apps = self.access.apps(secret)
        if apps is None:
            response = await self._stranger()
        else:
            self.requests += 1
            try:
                response = self._refusal(scope, secret) or await self._answer(receive, headers, apps)
            except ClientDisconnect:
                return
            finally:
                self.requests -= 1
        self._requests[(str(response.status_code),)].inc()
        await response(scope, receive, send)

    async def _stranger(self) -> Response:
        close = {} if await self.guesses.slow_down() else {"connection": "close"}
        answer = {"www-authenticate": "Bearer"} | close
        return problem(401, "the token is missing or unknown", headers=answer)

    async def _answer(self, receive: Receive, headers: Headers, apps: frozenset[str]) -> Response:
        try:
            sent = await body.read(receive, self._body_bytes_max, self.memory)
        except body.TooLargeError:
            return self._too_large()
        except OverMemoryError:
            return self._over_memory()
        except TimeoutError:
            return problem(400, "the body did not arrive in time: send again")
        try:
            return await self._keep(sent, headers, apps)
        finally:
            self.memory.give_back(len(sent))

    def _refusal(self, scope: Scope, secret: bytes) -> Response | None:
        if not self.access.admits(scope["client"][0] if scope.get("client") else ""):
            return problem(403, "this address may not post")
        if self._rate and not self._rate.admits(secret):
            return problem(429, "the token is over its requests per second", headers=_RETRY)
        if self.requests > self._requests_max:
            return problem(500, f"over {self._requests_max} requests at once: send again", headers=_RETRY)
        return None

    async def _keep(self, sent: bytes, headers: Headers, apps: frozenset[str]) -> Response:
        began = time.perf_counter()
        now_ms = time.time_ns() // 1_000_000
        try:
            plain = body.decompress(sent, _encoding(headers), self._body_bytes_max)
        except body.TooLargeError:
            return self._too_large()
        except body.UnknownEncodingError:
            return problem(415, "the Content-Encoding must be gzip, deflate or none")
        except body.EncodingError as error:
            received: Accepted | Rejected = self.receiver.reject(
                sent, 400, "content_encoding", str(error), now_ms
            )
        else:
            received = self.receiver.receive(plain, headers, now_ms)
        if apps and received.app_id is not None and received.app_id not in apps:
            return problem(403, "the token is not for this app_id")
        record_bytes = len(received.record.value)
        try:
            self.memory.take(record_bytes)
        except OverMemoryError:
            return self._over_memory()
        try:
            kept = await self._publisher.publish(received.record)
        except NotKeptError as error:
            return problem(500, f"the event is not kept ({error}): send it again", headers=_RETRY)
        finally:
            self.memory.give_back(record_bytes)
        self._metrics.request_seconds.observe(time.perf_counter() - began)
        return self._kept(received, kept)

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

    def _over_memory(self) -> Response:
        detail = f"over {self.memory.bytes_max} bytes of requests in flight: send again"
        return problem(500, detail, headers=_RETRY)

    def _too_large(self) -> Response:
        return problem(413, f"the body is over {self._body_bytes_max} bytes")


def _encoding(headers: Headers) -> str:
    # `get` raises and catches where there is none, which is usual (1 us).
    return next((value.decode("latin-1") for name, value in headers.raw if name == b"content-encoding"), "")


def _secret(scope: Scope, headers: Headers) -> bytes:
    token: str | None = scope["path_params"].get("token")
    if token is None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return b""
    return token.strip().encode()
