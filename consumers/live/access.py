"""Requests to the page -> refusals, or the page's answers with protective headers.

Invariants: with a token set, everything but the probes requires it, compared in constant time. Without one,
only requests to a loopback name are answered, which keeps out public names forwarded by a proxy and DNS
rebinding. A request that changes anything must come from the page itself; browsers report the origin, and no
other site can forge it. Other sites may link to the page but not embed its answers. The content policy allows
no inline script, no other host, and no markup from text.
"""

import hmac
from base64 import b64decode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.http import hosts

PROBES = frozenset({"/healthz", "/readyz"})
_QUESTIONS = frozenset({"GET", "HEAD"})

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class PageAccess:
    """ASGI middleware around the whole page."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on and add the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        refusal = None if scope["path"] in PROBES else self._refusal(headers)
        if refusal is None and scope["method"] not in _QUESTIONS and not _is_of_the_page(headers):
            refusal = PlainTextResponse("Only the page itself may request this.\n", 403)
        if refusal is None and _is_inside_another_site(headers):
            refusal = PlainTextResponse("Other sites may not request this.\n", 403)
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        if self._token is None:
            if hosts.is_loopback(hosts.without_port(headers.get("host", ""))):
                return None
            return PlainTextResponse(
                "Without LIVE_TOKEN this page is only available at http://localhost.\n", 403
            )
        if hmac.compare_digest(_secret(headers.get("authorization", "")), self._token.encode()):
            return None
        challenge = {"www-authenticate": 'Basic realm="Tapline", charset="UTF-8"'}
        return PlainTextResponse("Enter LIVE_TOKEN as the password; any user name works.\n", 401, challenge)


def _is_of_the_page(headers: Headers) -> bool:
    host = headers.get("host", "")
    return (
        headers.get("origin") in {f"http://{host}", f"https://{host}"}
        and headers.get("sec-fetch-site", "same-origin") == "same-origin"
    )


def _is_inside_another_site(headers: Headers) -> bool:
    is_link = headers.get("sec-fetch-mode") == "navigate"
    return not is_link and hosts.is_of_another_site(headers.get("sec-fetch-site"))


def _secret(authorization: str) -> bytes:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip().encode()
    if scheme.lower() != "basic":
        return b""
    try:
        return b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:  # not valid base64, or not ASCII
        return b""
