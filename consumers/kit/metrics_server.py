"""Metrics and health of a consumer, on one port.

Invariants: `/healthz`: the loop turns. `/readyz`: what comes now is worked on. That something outside is away
is a metric, and no reason for a restart.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from schemas.environment import SettingsError


@dataclass(frozen=True, slots=True)
class Where:
    """What is listened on, and the setting that says so."""

    host: str
    port: int
    setting: str


def serve(
    registry: CollectorRegistry, where: Where, is_alive: Callable[[], bool], is_ready: Callable[[], bool]
) -> None:
    """Answer `/metrics`, `/healthz` and `/readyz`, while the process lives. Raises: SettingsError."""
    exposition = make_wsgi_app(registry)
    questions = {"/healthz": is_alive, "/readyz": is_ready}

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        ask = questions.get(environ.get("PATH_INFO", ""))
        if ask is None:
            return cast("Iterable[bytes]", exposition(environ, start_response))
        status, word = ("200 OK", b"ok\n") if ask() else ("503 Service Unavailable", b"not yet\n")
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [word]

    try:
        server = make_server(where.host, where.port, app, WSGIServer, _Silent)
    except OSError as error:
        raise SettingsError(f"{where.setting}: {where.port} on {where.host}: {error.strerror}") from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
