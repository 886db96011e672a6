"""An error answer -> `application/problem+json` (RFC 9457)."""

from collections.abc import Iterable

import msgspec
from starlette.responses import Response

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
