"""One request and its answer on uvicorn; and whole answers, an extension of ASGI.

A `WholeAnswer` is the same each time, so its bytes are joined once and written at once. uvicorn checks and
joins every header of every answer, which took a third of its work on a small request.
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import httptools
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from runtime.http.gate import RefusedRequest

_WHOLE = "tapline.http.response.whole"
EXTENSIONS: dict[str, dict[object, object]] = {_WHOLE: {}}  # of a scope whose server takes whole answers

_UPGRADING = frozenset({b"upgrade", b"connection", b"http2-settings"})


class WholeAnswer:
    """An answer to POST requests, as an ASGI application; any server can send it."""

    def __init__(self, response: Response) -> None:
        self.status_code = response.status_code
        status, headers, body = response.status_code, response.raw_headers, bytes(response.body)
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self._whole: Message = {"type": _WHOLE, "status": status, "rest": lines + b"\r\n" + body}
        self._start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        self._body: Message = {"type": "http.response.body", "body": body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send it."""
        if _WHOLE in scope.get("extensions", ()):
            await send(self._whole)
        else:
            await send(self._start)
            await send(self._body)


class Exchange(RequestResponseCycle):
    """uvicorn's cycle, which also takes whole answers."""

    async def send(self, message: Message) -> None:  # type: ignore[override]
        """Send a message of ASGI."""
        if message["type"] != _WHOLE:
            await super().send(message)  # type: ignore[arg-type]
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        parts = [STATUS_LINE[message["status"]]]
        for name, value in self.default_headers:
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(message["rest"])
        self.transport.write(b"".join(parts))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def refusal(why: RefusedRequest, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the answer to a request that no application sees; the connection closes after it."""
    status = HTTPStatus(why.status)
    body = json.dumps({"title": status.phrase, "status": why.status, "detail": why.detail}).encode()
    lines = [
        f"HTTP/1.1 {why.status} {status.phrase}",
        *(f"{name.decode()}: {value.decode()}" for name, value in default_headers),
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def plain_head(scope: Mapping[str, Any], url: bytes) -> bytes:
    """Return a request's head again, without the upgrade headers. Raises: HttpParserError for CONNECT."""
    if scope["method"] == "CONNECT":
        raise httptools.HttpParserError
    lines = [b" ".join((scope["method"].encode(), url, b"HTTP/" + scope["http_version"].encode()))]
    for name, value in scope["headers"]:
        if name not in _UPGRADING:
            lines.append(name + b": " + value)
        elif name == b"connection" and b"close" in value.lower():
            lines.append(b"connection: close")
    return b"\r\n".join([*lines, b"", b""])
