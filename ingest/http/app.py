"""Settings and schemas -> the ASGI application of one ingest process."""

import asyncio
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.delivery.producer import KafkaProducer
from ingest.delivery.publisher import Publisher
from ingest.delivery.spool import Spool
from ingest.http.health import Health
from ingest.http.problem import problem
from ingest.http.receive import Receiver
from ingest.http.webhook import Webhook
from ingest.metrics import Metrics
from ingest.registry_api.registry import Registry
from ingest.settings import Settings
from schemas.catalog.catalog import CatalogError
from schemas.catalog.schema_reloader import LOOK_SECONDS, Current

_LOG = logging.getLogger(__name__)
_WEBHOOK = "/tapcart_webhooks"


class App:
    """All requests -> Starlette's routes, but for a POST with a token in its path: that one goes straight.

    Routing and its layers took a sixth of an event's time (DESIGN.md, "Measured against others").
    """

    def __init__(self) -> None:
        self.routes: ASGIApp
        self.webhook: ASGIApp | None = None  # once there is one

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if self.webhook and scope["type"] == "http" and scope["method"] == "POST":
            head, _, token = scope["path"].rpartition("/")
            if token and head == _WEBHOOK:
                scope["path_params"] = {"token": token}
                await self.webhook(scope, receive, send)
                return
        await self.routes(scope, receive, send)


def build(settings: Settings, current: Current) -> App:
    """Return the application; its lifespan starts and stops the publisher, and follows the schemas."""
    metrics, whole = Metrics(), App()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        publisher = _publisher(settings, metrics)
        webhook = Webhook(settings, Receiver(current.catalog), publisher, metrics)
        metrics.watch("schemas", "Releases in use.", lambda: len(current.catalog.releases))
        metrics.watch("requests_under_way", "POSTs being handled.", lambda: webhook.requests)
        metrics.watch(
            "requests_under_way_max", "POSTs that may be handled at once.", lambda: settings.requests_max
        )
        metrics.watch("memory_bytes", "Bytes of the requests in flight.", lambda: webhook.memory.bytes)
        metrics.watch(
            "memory_bytes_max", "Bytes that they may have together.", lambda: webhook.memory.bytes_max
        )
        app.router.routes += [
            Route(f"{_WEBHOOK}/{{token}}", webhook, methods=["POST"]),
            Route(_WEBHOOK, webhook, methods=["POST"]),
            *Health(publisher, metrics).routes(),
            Mount("/registry", Registry(current).app()),
        ]
        whole.webhook = ServerErrorMiddleware(webhook, handler=_our_fault)
        await publisher.start()
        following = asyncio.create_task(_follow(current, webhook, metrics))
        yield
        following.cancel()
        await publisher.close(settings.shutdown_seconds_max)

    whole.routes = Starlette(
        lifespan=lifespan, exception_handlers={HTTPException: _http_error, 500: _our_fault}
    )
    return whole


async def _follow(current: Current, webhook: Webhook, metrics: Metrics) -> None:
    """Use what `schemas add` releases, from the next event on; what cannot be used is told."""
    told = ""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            if receiver := await asyncio.to_thread(_newer, current):
                webhook.receiver = receiver
                _LOG.info("schemas_taken_up", extra={"releases": len(current.catalog.releases)})
            told = ""
        except CatalogError as error:
            metrics.schemas_refused.inc()
            if told != (told := str(error)):
                _LOG.error("schemas_refused", extra={"problems": told.splitlines()})


def _newer(current: Current) -> Receiver | None:
    return Receiver(current.catalog) if current.look() else None


def _publisher(settings: Settings, metrics: Metrics) -> Publisher:
    spool = Spool(settings.spool_dir, settings.spool_bytes_max)
    producer = KafkaProducer(settings.kafka)
    metrics.watch("spool_bytes", "Bytes awaiting Kafka on disk.", lambda: spool.bytes)
    metrics.watch("spool_bytes_max", "Bytes that the spool may hold.", lambda: spool.bytes_max)
    metrics.watch(
        "spool_oldest_seconds", "Age of the record on disk that has waited longest.", _age_of(spool)
    )
    folder = settings.spool_dir
    metrics.watch("disk_free_bytes", "Room on the spool's disk.", lambda: shutil.disk_usage(folder).free)
    metrics.watch("disk_bytes", "Size of that disk.", lambda: shutil.disk_usage(folder).total)
    metrics.watch("kafka_pending_records", "Records awaiting Kafka's report.", lambda: producer.pending)
    metrics.watch("kafka_pending_seconds", "Age of the oldest of them.", producer.oldest_seconds)
    return Publisher(
        producer,
        spool,
        metrics,
        acknowledge_seconds_max=settings.acknowledge_seconds_max,
        retention_hours=settings.retention_hours,
    )


def _age_of(spool: Spool) -> Callable[[], float]:
    def seconds() -> float:
        oldest_ms = spool.oldest_ms()
        return max(0.0, time.time() - oldest_ms / 1000) if oldest_ms else 0.0

    return seconds


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = "send a POST" if error.status_code == 405 else "there is POST /tapcart_webhooks/{token}"  # noqa: PLR2004
    return problem(error.status_code, detail, headers=dict(error.headers or {}))


async def _our_fault(_request: Request, _error: Exception) -> Response:
    return problem(500, "a fault of ours, logged: send the event again", headers={"retry-after": "1"})
