"""What a port answers: errors as `application/problem+json` (RFC 9457), and the answers to kept events.

Every answer is an ASGI application with a `status_code`, as Starlette's `Response` is.
"""

from collections.abc import Iterable
from typing import Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from schemas.codec.events import FieldFault

TITLES = {
    400: "Not JSON",
    401: "Unknown token",
    403: "Not allowed",
    404: "No such page",
    405: "Wrong method",
    413: "Body too large",
    415: "Unknown content encoding",
    422: "Event cannot be placed",
    429: "Too many requests",
    431: "Header lines too large",
    500: "Event not kept",
}
RETRY = {"retry-after": "1"}


class Answer(Protocol):
    """An answer."""

    status_code: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""


class ReadyAnswer:
    """An answer 200 whose messages are built once: building a `Response`'s takes 1 us of each request."""

    def __init__(self, response: Response) -> None:
        self.status_code = response.status_code
        self._start: Message = {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
        self._body: Message = {"type": "http.response.body", "body": response.body}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Send it."""
        await send(self._start)
        await send(self._body)


KEPT: dict[str, Answer] = {
    place: ReadyAnswer(Response(f'{{"kept":"{place}"}}', media_type="application/json"))
    for place in ("kafka", "spool")
}


def problem(
    status: int, detail: str, faults: Iterable[FieldFault] = (), headers: dict[str, str] | None = None
) -> Response:
    """Build the answer; `faults` become `errors`, a list of `{pointer, detail}` with JSON pointers."""
    content: dict[str, object] = {"title": TITLES[status], "status": status, "detail": detail}
    errors = [{"pointer": fault.pointer, "detail": fault.detail} for fault in faults]
    if errors:
        content["errors"] = errors
    return Response(msgspec.json.encode(content), status, headers, media_type="application/problem+json")


def our_fault() -> Response:
    """Build the answer to a request that failed because of a bug."""
    return problem(500, "internal error, logged: send the event again", headers=RETRY)
