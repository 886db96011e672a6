"""What a port answers: errors as `application/problem+json` (RFC 9457), and the answers to kept events.

Every answer is an ASGI application with a `status_code`, as Starlette's `Response` is.
"""

from collections.abc import Iterable
from typing import Protocol

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runtime.http.exchange import WholeAnswer
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

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""


KEPT: dict[str, Answer] = {
    place: WholeAnswer(Response(f'{{"kept":"{place}"}}', media_type="application/json"))
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
