"""The public port's application -> the same with a span for each request, for whoever asks for traces.

OpenTelemetry's own ASGI middleware makes the spans, and `opentelemetry-instrument` exports them: see
deploy/opentelemetry. Invariants: without an endpoint, nothing is imported or called; no span holds the URL's
token, because the middleware sees the path without it.
"""

import importlib
import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.http.access import PATH

_LOG = logging.getLogger(__name__)

_LIBRARY = "opentelemetry.instrumentation.asgi"
_SCOPE = "tapline.scope"
_SECRET = b"authorization"


def traced(app: ASGIApp, endpoint: str) -> ASGIApp:
    """Return `app` with spans if there is an endpoint for them and the library is installed."""
    if not endpoint:
        return app
    try:
        library = importlib.import_module(_LIBRARY)
    except ModuleNotFoundError:
        _LOG.warning("tracing_not_installed", extra={"package": _LIBRARY})
        return app

    async def with_token(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope[_SCOPE], receive, send)

    middleware: ASGIApp = library.OpenTelemetryMiddleware(with_token)

    async def without_token(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != _SECRET]
        shown: Scope = {**scope, "path": PATH, "raw_path": PATH.encode(), "query_string": b""}
        await middleware({**shown, "headers": headers, _SCOPE: scope}, receive, send)

    return without_token
