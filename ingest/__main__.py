"""`python -m ingest`: the receiver, until SIGTERM or SIGINT. Exit status: see `runtime.process`."""

import asyncio
import gc
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from socket import socket

import uvloop
from confluent_kafka import KafkaException

from ingest.delivery.spool_lock import hold
from ingest.http.app import IngestService, build
from ingest.http.token_follower import TokenFollower
from ingest.settings import Settings
from runtime import descriptors
from runtime.environment import SettingsError
from runtime.http.server import Port, bind, serve
from runtime.http.socket_store import SocketStore, inherited
from runtime.process import Process, main
from schemas.catalog.schema_reloader import registering_reloader

_LOG = logging.getLogger(__name__)

# The files of the admin port, of connections to Kafka, and of the spool.
_OTHER_FILES = 96
_CONNECTIONS_MIN = 8


@dataclass(frozen=True, slots=True)
class _Sockets:
    public: Sequence[socket]
    admin: Sequence[socket]
    connections: Sequence[socket]  # of an earlier process
    store: SocketStore | None


def _serve(process: Process) -> None:
    settings = Settings.from_env(os.environ)
    hold(settings.spool_dir)
    tokens = TokenFollower(settings)
    memory = settings.spool_dir / "schema-registry.json"
    reloader = registering_reloader(settings.schemas_dir, settings.schema_registry, memory)
    kept = inherited(os.environ)
    sockets = _Sockets(
        kept.listening or bind(settings.host, settings.port, "INGEST_PORT"),
        bind(settings.admin_host, settings.admin_port, "INGEST_ADMIN_PORT"),
        kept.connections,
        SocketStore.from_env(os.environ),
    )
    settings = settings.model_copy(update={"connections_max": _connections_max(settings)})
    # Requests make few cycles, and collecting them took a tenth of the loop's time. Memory stays flat.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    uvloop.run(_run(process, settings, partial(build, settings, reloader, tokens), sockets))


async def _run(
    process: Process, settings: Settings, make: Callable[[], IngestService], sockets: _Sockets
) -> None:
    service, stopping = _made(make), asyncio.Event()
    public = Port(
        service.public,
        sockets.public,
        service.gate,
        sockets.connections,
        sockets.store,
        settings.linger_seconds,
    )
    # The public port stops first, so that health can be watched to the end.
    serving = serve(
        [public, Port(service.admin, sockets.admin, service.admin_gate)],
        stopping,
        timeout_keep_alive=settings.keep_alive_seconds,
        proxy_headers=False,  # see Access
        timeout_graceful_shutdown=int(settings.shutdown_seconds_max),
    )
    await process.keep(serving, stopping.set, service.parts, 3 * settings.shutdown_seconds_max)
    await service.publisher.close(settings.shutdown_seconds_max)


def _connections_max(settings: Settings) -> int:
    """Return the connection limit, lowered if the limit on open files requires it."""
    files_max = descriptors.raise_limit()
    connections_max = min(settings.connections_max, max(_CONNECTIONS_MIN, files_max - _OTHER_FILES))
    if connections_max < settings.connections_max:
        _LOG.warning(
            "few_open_files", extra={"open_files_max": files_max, "connections_max": connections_max}
        )
    return connections_max


def _made(make: Callable[[], IngestService]) -> IngestService:
    try:
        return make()
    except KafkaException as error:
        raise SettingsError(f"KAFKA_*: {error.args[0].str()}") from error


if __name__ == "__main__":
    main("ingest", _serve)
