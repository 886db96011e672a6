"""`python -m ingest`: the receiver, until SIGTERM or SIGINT. Exit status: see `schemas.process`."""

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from functools import partial
from socket import socket

import uvloop
from confluent_kafka import KafkaException

from ingest.delivery.spool_lock import hold
from ingest.http.app import Service, build
from ingest.http.token_follower import TokenFollower
from ingest.settings import Settings
from schemas.catalog.wire_ids import registering
from schemas.environment import SettingsError
from schemas.http_server import bind, serve
from schemas.process import Process, main


def _serve(process: Process) -> None:
    settings = Settings.from_env(os.environ)
    hold(settings.spool_dir)
    tokens = TokenFollower(settings)
    memory = settings.spool_dir / "schema-registry.json"
    current = registering(settings.schemas_dir, settings.schema_registry, memory)
    public = bind(settings.host, settings.port, "INGEST_PORT")
    admin = bind(settings.admin_host, settings.admin_port, "INGEST_ADMIN_PORT")
    # Requests make few cycles: looking for them took a tenth of the loop's time. Memory stays flat.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    uvloop.run(_run(process, settings, partial(build, settings, current, tokens), public, admin))


async def _run(
    process: Process,
    settings: Settings,
    make: Callable[[], Service],
    public: Sequence[socket],
    admin: Sequence[socket],
) -> None:
    service, stopping = _made(make), asyncio.Event()
    # The public port stops first, so that health can be watched until the end.
    serving = serve(
        [(service.public, public), (service.admin, admin)],
        stopping,
        timeout_keep_alive=settings.keep_alive_seconds,
        proxy_headers=False,  # see Access
        timeout_graceful_shutdown=int(settings.shutdown_seconds_max),
    )
    await process.keep(serving, stopping.set, service.parts, 3 * settings.shutdown_seconds_max)
    await service.publisher.close(settings.shutdown_seconds_max)


def _made(make: Callable[[], Service]) -> Service:
    try:
        return make()
    except KafkaException as error:
        raise SettingsError(f"KAFKA_*: {error.args[0].str()}") from error


if __name__ == "__main__":
    main("ingest", _serve)
