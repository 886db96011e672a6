"""A body of multipart/form-data -> the parameters in it, which drivers send so when they are long.

Invariant: what a request holds in memory is bounded; files, which a server takes for tables, are refused.
"""

from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request

from deploy.local.clickhouse.faults import Fault

# Of one field: as much as the text of a query may have.
_FIELD_BYTES_MAX = 16 * 1024 * 1024


def is_form(http: Request) -> bool:
    """Return whether the body is a form."""
    return http.headers.get("content-type", "").startswith("multipart/")


async def fields(http: Request) -> dict[str, str]:
    """Return the fields of a form; none of any other body. Raises: Fault for files and what is no form."""
    if not is_form(http):
        return {}
    try:
        form = await http.form(max_files=0, max_part_size=_FIELD_BYTES_MAX)
    except HTTPException as error:
        if "files" in error.detail:
            detail = "External data (files in a form) is not supported by this front"
            raise Fault(48, "NOT_IMPLEMENTED", detail) from error
        raise Fault(36, "BAD_ARGUMENTS", f"The form cannot be read: {error.detail}") from error
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def nothing() -> AsyncIterator[bytes]:
    """Yield what follows a form: nothing."""
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece
