"""The admin port's ASGI application: health, metrics, and the registry's API.

Invariants: nothing here changes state; requests that a page of another site may have sent are refused (see
runtime/http/hosts.py); requests without a route are counted. The port listens on loopback by default, because
metrics reveal a shop's sales. Source: docs/decisions/0008-two-ports.md.
"""

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.http.answers import our_fault, problem
from ingest.http.health import Health
from ingest.http.refusals import Refusals
from ingest.registry_api.registry import RegistryApi
from runtime.http import hosts


def admin(health: Health, registry: RegistryApi, bound: str, refusals: Refusals) -> ASGIApp:
    """Build the application for a port bound to the address `bound`."""

    async def unanswered(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        is_method = error.status_code == 405  # noqa: PLR2004
        detail = "send a GET" if is_method else "there are /healthz, /readyz, /metrics and /registry/"
        refusals.note(error.status_code, "wrong_method" if is_method else "wrong_path")
        return problem(error.status_code, detail, headers=dict(error.headers or {}))

    routes = Starlette(
        routes=[*health.routes(), Mount("/registry", registry.app())],
        exception_handlers={HTTPException: unanswered, 500: _failed},
    )

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host, site = headers.get("host", "localhost"), headers.get("sec-fetch-site")
        if not hosts.is_foreign(bound, host, site):
            return await routes(scope, receive, send)
        refusals.note(403, "foreign_page", host=host, site=site or "")
        refusal = problem(403, "this port serves only localhost, and no pages of other sites")
        return await refusal(scope, receive, send)

    return answer


async def _failed(_request: Request, _error: Exception) -> Response:
    return our_fault()
