"""A body of multipart/form-data -> its parameters; drivers send long ones this way.

Invariants: memory per request is bounded; bytes that are not UTF-8 are preserved (surrogateescape); files,
which a server treats as tables, are refused.
"""

from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header
from starlette.requests import Request

from deploy.local.clickhouse.faults import FrontError

# for the whole form: the limit of a query's text
_BYTES_MAX = 16 * 1024 * 1024


def is_form(http: Request) -> bool:
    """Return whether the body is a form."""
    return http.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def fields(http: Request, pieces: AsyncIterator[bytes]) -> dict[str, str]:
    """Parse the fields of a form; the last one of a name counts. Raises: FrontError."""
    found: dict[str, str] = {}
    ended: list[bool] = []

    def on_field(field: Field) -> None:
        found[_text(field.field_name)] = _text(field.value)

    boundary = parse_options_header(http.headers["content-type"])[1].get(b"boundary")
    size = 0
    try:
        parser = FormParser("multipart/form-data", on_field, _refuse, lambda: ended.append(True), boundary)
        async for piece in pieces:
            size += len(piece)
            if size > _BYTES_MAX:
                raise FrontError(62, "SYNTAX_ERROR", f"Max size of a form exceeded: {_BYTES_MAX} bytes")
            parser.write(piece)
    except FormParserError as error:
        raise FrontError(36, "BAD_ARGUMENTS", f"The form cannot be read: {error}") from error
    if not ended:
        raise FrontError(36, "BAD_ARGUMENTS", "The form cannot be read: its last boundary is missing")
    return found


def _refuse(file: File) -> None:
    detail = f"External data (the file {_text(file.field_name)!r} in a form) is not supported by this front"
    raise FrontError(48, "NOT_IMPLEMENTED", detail)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="surrogateescape")
