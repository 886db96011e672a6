"""The public port's ASGI application: POST /tapcart_webhooks/{token}, and nothing else.

Invariant: what this port answers is the webhook's; health, metrics and the registry are on the admin port.
Source: the public contract in DESIGN.md. Routing and its layers took a sixth of an event's time (DESIGN.md,
"Measured against others"), so a path is taken apart here.
"""

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.http.problem import our_fault, problem

PATH = "/tapcart_webhooks"


class Public:
    """All requests of the public port -> the webhook, or a refusal."""

    def __init__(self, webhook: ASGIApp) -> None:
        self._webhook: ASGIApp = ServerErrorMiddleware(webhook, handler=our_fault)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head, _, token = scope["path"].rpartition("/")
        if head == PATH and token:
            scope["path_params"] = {"token": token}
        elif scope["path"] == PATH:
            scope["path_params"] = {}
        else:
            await problem(404, "there is POST /tapcart_webhooks/{token}")(scope, receive, send)
            return
        if scope["method"] != "POST":
            await problem(405, "send a POST", headers={"allow": "POST"})(scope, receive, send)
            return
        await self._webhook(scope, receive, send)
