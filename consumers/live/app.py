"""Hub, board and metrics -> the ASGI application of the live page.

Invariants: the page is three static files read once at start; every number reaches it as JSON and is put in
as text.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.resources import files

from msgspec import json
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from consumers.live.access import Access
from consumers.live.hub import Hub
from consumers.live.metrics import Metrics
from consumers.live.state import Board, Component

_STATIC = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/live.css": ("live.css", "text/css; charset=utf-8"),
    "/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_JSON = "application/json"
# How long a browser waits before it connects again by itself.
_HELLO = b"retry: 2000\n\n"

Endpoint = Callable[[Request], Awaitable[Response]]
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def build(
    board: Board,
    hub: Hub,
    metrics: Metrics,
    token: str | None,
    clock_ms: Callable[[], int],
    lifespan: Lifespan | None = None,
) -> Starlette:
    """Return the application; `lifespan` runs the feed."""
    endpoints: Mapping[str, Endpoint] = {
        **{path: _file(*file) for path, file in _STATIC.items()},
        "/events": _events(hub),
        "/api/snapshot": _snapshot(board, clock_ms),
        "/healthz": _healthz,
        "/readyz": _readyz(board),
        "/metrics": _metrics(metrics),
    }
    return Starlette(
        routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in endpoints.items()],
        middleware=[Middleware(Access, token=token)],
        lifespan=lifespan,
    )


def _file(name: str, media_type: str) -> Endpoint:
    body = files(__package__).joinpath("static", name).read_bytes()

    async def endpoint(_request: Request) -> Response:
        return Response(body, media_type=media_type)

    return endpoint


def _events(hub: Hub) -> Endpoint:
    async def stream() -> AsyncIterator[bytes]:
        with hub.open() as page:
            yield _HELLO
            async for state in page.states():
                yield b"event: state\ndata: " + state + b"\n\n"

    async def endpoint(_request: Request) -> Response:
        if hub.full:
            return PlainTextResponse(
                "Too many pages are open (LIVE_PAGES_MAX).\n", 503, {"retry-after": "10"}
            )
        return StreamingResponse(
            stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    return endpoint


def _snapshot(board: Board, clock_ms: Callable[[], int]) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        return Response(json.encode(board.state(clock_ms())), media_type=_JSON)

    return endpoint


async def _healthz(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _readyz(board: Board) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        away: list[Component] = list(board.away)
        body = {"ready": board.ready, "away": {component.name: component.detail for component in away}}
        return Response(json.encode(body), 200 if board.ready else 503, media_type=_JSON)

    return endpoint


def _metrics(metrics: Metrics) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return endpoint
