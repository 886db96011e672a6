"""Metrics and health of a consumer, on one port.

Invariants: `/healthz`: the loop runs. `/readyz`: new records are processed. The failure of an external
service is a metric, not a reason for a restart. Requests that a page of another site may have sent are
refused: see runtime/http/hosts.py. If the port is taken or the server fails, that is logged, and the consumer
keeps working.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app

from runtime.http import hosts

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """The address to listen on, and the setting that defines it."""

    host: str
    port: int
    setting: str


def serve(
    registry: CollectorRegistry,
    where: ListenAddress,
    is_alive: Callable[[], bool],
    is_ready: Callable[[], bool],
    problem: Callable[[], str],
) -> None:
    """Serve `/metrics`, `/healthz` and `/readyz` until the process ends, if the port is free.

    `problem`: why it is not ready, or not fully; empty: unknown.
    """
    exposition = make_wsgi_app(registry)
    questions = {"/healthz": is_alive, "/readyz": is_ready}

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        host, site = environ.get("HTTP_HOST", "localhost"), environ.get("HTTP_SEC_FETCH_SITE")
        if hosts.is_foreign(where.host, host, site):
            start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"This port is for http://localhost only.\n"]
        ask = questions.get(environ.get("PATH_INFO", ""))
        if ask is None:
            return cast("Iterable[bytes]", exposition(environ, start_response))
        status, word = ("200 OK", "ok") if ask() else ("503 Service Unavailable", "not yet")
        why = problem() if ask is is_ready else ""
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{word}: {why}\n".encode() if why else f"{word}\n".encode()]

    try:
        server = make_server(where.host, where.port, app, WSGIServer, _SilentHandler)
    except OSError as error:
        extra = {"setting": where.setting, "host": where.host, "port": where.port, "error": error.strerror}
        _log.error("no_metrics", extra=extra)
        return

    def answer() -> None:
        try:
            server.serve_forever()
        except Exception:  # noqa: BLE001 - logged; the work goes on
            _log.exception("no_metrics", extra={"setting": where.setting})
            server.server_close()

    threading.Thread(target=answer, name="metrics", daemon=True).start()


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
