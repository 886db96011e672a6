"""The admin port's ASGI application: health, metrics, and the registry's API.

Invariant: nothing here changes anything. Source: the public contract in DESIGN.md. The port is on loopback
unless told otherwise, for metrics tell what a shop sells.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from ingest.http.health import Health
from ingest.http.problem import our_fault, problem
from ingest.registry_api.registry import Registry


def admin(health: Health, registry: Registry) -> Starlette:
    """Return the application."""
    return Starlette(
        routes=[*health.routes(), Mount("/registry", registry.app())],
        exception_handlers={HTTPException: _http_error, 500: _failed},
    )


async def _failed(_request: Request, _error: Exception) -> Response:
    return our_fault()


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    method = error.status_code == 405  # noqa: PLR2004
    detail = "send a GET" if method else "there are /healthz, /readyz, /metrics and /registry/"
    return problem(error.status_code, detail, headers=dict(error.headers or {}))
