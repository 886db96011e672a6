"""The public port's ASGI application: only the webhook's URL.

`POST /tapcart_webhooks/{token}`, optionally with a trailing slash, or with the token as `Authorization:
Bearer`. GET and HEAD answer monitors and URL checks. Invariants: every answer is counted by status; a wrong
path is logged without its secret. Source: docs/webhook.md. Paths are split here, because a
framework's routing took a sixth of an event's time (docs/benchmarks.md).
"""

import logging

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from ingest.delivery.publisher import NotKeptError
from ingest.http.access import SenderAccess
from ingest.http.guesses import Guesses
from ingest.http.problem import RETRY, our_fault, problem
from ingest.http.refusals import Refusals, redacted
from ingest.http.webhook import Webhook
from ingest.metrics import Children, Metrics

_LOG = logging.getLogger(__name__)

_PATH = "/tapcart_webhooks"
_ALLOWED = {"allow": "POST, GET, HEAD"}
_WELCOME = PlainTextResponse("This is Tapline's webhook: send it events by POST, one JSON object each.\n")
_COUNTED_WITH_THEIR_LINE = frozenset({404, 405})
_WELCOME_METHODS = frozenset({"GET", "HEAD"})


class Public:
    """Passes requests of the public port to the webhook, or refuses them."""

    def __init__(self, webhook: Webhook, access: SenderAccess, metrics: Metrics) -> None:
        self.access = access  # may be replaced between two requests
        self.guesses = Guesses()
        self._webhook = webhook
        self._requests = Children(metrics.requests)
        self.refusals = Refusals(self._requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; if the sender has disconnected, keep nothing of its event."""
        try:
            response = await self._answer(scope, receive)
        except ClientDisconnect:
            return
        except NotKeptError as error:
            self.refusals.log("event_not_kept", status=500, reason=str(error))
            response = problem(500, f"the event is not kept ({error}): send it again", headers=RETRY)
        except Exception:  # noqa: BLE001 - whatever was sent, it costs this request alone
            _LOG.exception("request_failed")
            response = our_fault()
        if response.status_code not in _COUNTED_WITH_THEIR_LINE:
            self._requests[(str(response.status_code),)].inc()
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        path: str = scope["path"]
        head, _, token = path.rpartition("/")
        if not token:  # trailing slash
            path = head
            head, _, token = path.rpartition("/")
        if _PATH not in (head, path):
            self.refusals.note(404, "wrong_path", method=scope["method"], path=redacted(scope["path"]))
            return problem(404, "the only path is POST /tapcart_webhooks/{token}")
        headers = Headers(scope=scope)
        secret = token.strip().encode() if head == _PATH else _bearer(headers)
        return await self._enter(scope, receive, headers, secret)

    async def _enter(self, scope: Scope, receive: Receive, headers: Headers, secret: bytes) -> Response:
        method = scope["method"]
        if method != "POST" and method not in _WELCOME_METHODS:
            self.refusals.note(405, "wrong_method", method=method)
            return problem(405, "send a POST", headers=_ALLOWED)
        apps = self.access.apps(secret)
        if apps is None:
            close = {} if await self.guesses.slow_down() else {"connection": "close"}
            answer = {"www-authenticate": "Bearer"} | close
            return problem(401, "the token is missing or unknown", headers=answer)
        if not self.access.admits(scope):
            return problem(403, "this address may not post")
        if method == "POST":
            return await self._webhook.answer(receive, headers, secret, apps)
        return _WELCOME


def _bearer(headers: Headers) -> bytes:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip().encode() if scheme.lower() == "bearer" else b""
