"""The parts of a live page -> its ASGI application.

Invariants: static files are read once at startup; the page receives all numbers as JSON and inserts them as
text. No request queries Kafka or ClickHouse: all answers come from the poller's latest data.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import msgspec
from msgspec import json
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from consumers.live.access import PageAccess
from consumers.live.answers import QuarantineGroup
from consumers.live.broadcaster import Broadcaster
from consumers.live.metrics import Metrics
from consumers.live.page_state import PageState
from consumers.live.replays import Replays
from schemas.catalog.page import page
from schemas.catalog.schema_reloader import SchemaReloader

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_JSON = "application/json"
# Delay before a browser reconnects by itself.
_HELLO = b"retry: 2000\n\n"
_BODY_BYTES_MAX = 10_000

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class PageParts:
    """The dependencies of the application."""

    page_state: PageState
    broadcaster: Broadcaster
    metrics: Metrics
    replays: Replays
    reloader: SchemaReloader
    clock_ms: Callable[[], int]
    token: str | None = None
    stalled: Callable[[], tuple[str, ...]] = tuple  # names of hanging parts


class _ReplayRequest(msgspec.Struct, frozen=True):
    """The group of bodies to replay."""

    reason: str
    pointer: str
    source: str


def build(parts: PageParts) -> Starlette:
    """Build the application."""
    endpoints: Mapping[str, Endpoint] = {
        **dict(_static(files(__package__) / "static", "/")),
        "/events": _events(parts.broadcaster),
        "/api/snapshot": _snapshot(parts),
        "/api/events/{key}": _event(parts.page_state),
        "/api/samples/{key}": _sample(parts.page_state),
        "/schemas": _schemas(parts.reloader),
        "/healthz": _healthz(parts),
        "/readyz": _readyz(parts),
        "/metrics": _metrics(parts.metrics),
    }
    return Starlette(
        routes=[
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in endpoints.items()),
            Route("/api/replay", _replay(parts), methods=["POST"]),
        ],
        middleware=[Middleware(PageAccess, token=parts.token)],
    )


def _static(folder: Traversable, path: str) -> Iterator[tuple[str, Endpoint]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _static(entry, f"{path}{entry.name}/")
        elif media_type := _MEDIA_TYPES.get(entry.name[entry.name.rfind(".") :]):
            yield path + ("" if entry.name == "index.html" else entry.name), _file(entry, media_type)


def _file(entry: Traversable, media_type: str) -> Endpoint:
    body = entry.read_bytes()

    async def endpoint(_request: Request) -> Response:
        return Response(body, media_type=media_type)

    return endpoint


def _events(broadcaster: Broadcaster) -> Endpoint:
    async def stream() -> AsyncIterator[bytes]:
        with broadcaster.open() as page:
            yield _HELLO
            async for state in page.states():
                yield b"event: state\ndata: " + state + b"\n\n"

    async def endpoint(_request: Request) -> Response:
        if broadcaster.full:
            return PlainTextResponse(
                "Too many pages are open (LIVE_PAGES_MAX).\n", 503, {"retry-after": "10"}
            )
        return StreamingResponse(
            stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    return endpoint


def _schemas(reloader: SchemaReloader) -> Endpoint:
    shown = reloader.catalog, page(reloader.catalog)

    async def endpoint(_request: Request) -> Response:
        nonlocal shown
        if shown[0] is not reloader.catalog:
            shown = reloader.catalog, page(reloader.catalog)
        return Response(shown[1], media_type=_MEDIA_TYPES[".html"])

    return endpoint


def _snapshot(parts: PageParts) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        parts.broadcaster.ask()
        return _answer(parts.page_state.state(parts.clock_ms()))

    return endpoint


def _event(page_state: PageState) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        event = page_state.event(request.path_params["key"])
        if event is None:
            return _problem(
                404, "This event is no longer among the newest; find it with SQL by its event_id."
            )
        return Response(event.fields, media_type=_JSON)

    return endpoint


def _sample(page_state: PageState) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        text = page_state.tables.samples.get(request.path_params["key"])
        if text is None:
            return _problem(404, "This body is no longer the newest of its kind.")
        return _answer({"text": text})

    return endpoint


def _replay(parts: PageParts) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        if request.headers.get("content-type") != _JSON:
            return _problem(415, "Send JSON.")
        try:
            chosen = json.decode(await _body(request), type=_ReplayRequest)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _problem(422, "Send reason, pointer and source.")
        group = _group(parts.page_state, chosen)
        if group is None:
            return _problem(404, "The quarantine has no such group.")
        if parts.replays.running:
            return _problem(409, "A replay is already running.")
        if not group.waiting:
            return _problem(409, "None of these bodies is waiting.")
        parts.replays.begin(group)
        return _answer(parts.page_state.replay, 202)

    return endpoint


async def _body(request: Request) -> bytes:
    """Return the body, or an empty one if it is larger than the page ever sends."""
    body = b""
    with suppress(ClientDisconnect):
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_BYTES_MAX:
                return b""
        return body
    return b""


def _group(page_state: PageState, chosen: _ReplayRequest) -> QuarantineGroup | None:
    groups = page_state.tables.quarantine.groups if page_state.tables.quarantine else ()
    key = (chosen.reason, chosen.pointer, chosen.source)
    return next((group for group in groups if (group.reason, group.pointer, group.source) == key), None)


def _healthz(parts: PageParts) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        if stalled := parts.stalled():
            return PlainTextResponse(f"hangs: {', '.join(stalled)}\n", 503)
        return PlainTextResponse("ok\n")

    return endpoint


def _readyz(parts: PageParts) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        stalled = parts.stalled()
        is_ready = parts.page_state.ready and not stalled
        away = {one.name: one.detail for one in parts.page_state.away} | dict.fromkeys(stalled, "hangs")
        return _answer({"ready": is_ready, "away": away}, 200 if is_ready else 503)

    return endpoint


def _metrics(metrics: Metrics) -> Endpoint:
    async def endpoint(_request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return endpoint


def _answer(content: object, status: int = 200) -> Response:
    return Response(json.encode(content), status, media_type=_JSON)


def _problem(status: int, detail: str) -> Response:
    return Response(
        json.encode({"status": status, "detail": detail}), status, media_type="application/problem+json"
    )
