"""Environment -> a running live page: `python -m consumers.live`.

Invariants: SIGTERM and SIGINT end the open streams first, so that the server stops at once. Exit code 2:
wrong settings.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette

from consumers.live import app, certificate
from consumers.live.broadcaster import Hub
from consumers.live.clickhouse import ClickHouse, Limits
from consumers.live.ingest import Ingest
from consumers.live.kafka import Kafka
from consumers.live.metrics import Metrics
from consumers.live.newest import Newest
from consumers.live.page_state import ALL, Board
from consumers.live.poller import Feed, Source
from consumers.live.replays import Replays
from consumers.live.samples import Samples
from consumers.live.settings import Settings
from consumers.live.state import CLICKHOUSE, INGEST, KAFKA
from schemas.catalog.catalog import CatalogError
from schemas.catalog.schema_reloader import LOOK_SECONDS, Current
from schemas.catalog.wire_ids import following
from schemas.environment import SettingsError, log_as_json

_log = logging.getLogger("consumers.live")

_CERTIFICATE_ROUNDS = 60  # a look in so many rounds of the page: a handshake a minute


def main() -> int:
    """Return the exit code."""
    log_as_json()
    _quieten()
    try:
        settings = Settings.from_env(os.environ)
        current = following(settings.schemas_dir, settings.schema_registry)
    except (SettingsError, CatalogError) as error:
        print(error, file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal once more after its orderly stop; that one is not to end us.
        signal.signal(number, lambda *_: None)
    try:
        asyncio.run(_serve(settings, current))
    except Exception:
        _log.exception("live_failed")
        return 1
    return 0


async def _serve(settings: Settings, current: Current) -> None:
    metrics = Metrics()
    hub = Hub(settings.pages_max, metrics)
    sources = _sources(settings, current)
    shown = tuple(name for name in ALL if name != INGEST or INGEST in sources)
    board = Board(shown, _now_ms(), round(settings.refresh_seconds * 1000))
    feed = Feed(board, sources, hub, metrics, _now_ms)
    replays = Replays(settings.of_replay(os.environ), board, metrics, _now_ms)

    metrics.schemas.set_function(lambda: len(current.catalog.releases))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(feed.run(settings.refresh_seconds))
        following = asyncio.create_task(_follow(current, metrics))
        watching = asyncio.create_task(_watch_certificate(settings, metrics))
        yield
        running.cancel()
        following.cancel()
        watching.cancel()
        await replays.close()

    token = settings.token.get_secret_value() if settings.token else None
    parts = app.Parts(board, hub, metrics, replays, current, _now_ms, token)
    server = uvicorn.Server(
        uvicorn.Config(
            app.build(parts, lifespan),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )
    stopping = asyncio.create_task(_close_when_stopping(server, hub))
    _log.info("live_started", extra={"host": settings.host, "port": settings.port})
    await server.serve()
    stopping.cancel()
    _log.info("live_stopped")


async def _follow(current: Current, metrics: Metrics) -> None:
    """Show what `schemas add` releases; what cannot be used is told."""
    told = ""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await asyncio.to_thread(current.look)
            told = ""
        except CatalogError as error:
            metrics.schemas_refused.inc()
            if told != (told := str(error)):
                _log.error("schemas_refused", extra={"problems": told.splitlines()})


async def _watch_certificate(settings: Settings, metrics: Metrics) -> None:
    """Keep what is known of the public address's certificate up to date."""
    url, told = settings.public_url, ""
    while url:
        seen = await asyncio.to_thread(certificate.look, url)
        metrics.show_certificate(seen)
        if told != (told := seen.fault):
            _log.warning("certificate_seen", extra={"url": url, "fault": told or None})
        await asyncio.sleep(_CERTIFICATE_ROUNDS * settings.refresh_seconds)


def _sources(settings: Settings, current: Current) -> dict[str, Source]:
    def types() -> list[str]:
        return [release.name for release in current.catalog.newest_releases() if release.family == "mobile"]

    limits = Limits(
        settings.query_seconds_max, settings.query_share_max, settings.silent_minutes, settings.apps_max
    )
    url = settings.clickhouse_url.get_secret_value()
    sources: dict[str, Source] = {
        CLICKHOUSE: ClickHouse(url, types, limits, Samples(current).text, settings.time_zone),
        KAFKA: Kafka(settings.kafka, settings.group, Newest(current)),
    }
    if settings.ingest_url:
        sources[INGEST] = Ingest(settings.ingest_url)
    return sources


async def _close_when_stopping(server: uvicorn.Server, hub: Hub) -> None:
    # uvicorn waits for open streams before it tells the application that it stops.
    while not server.should_exit:  # noqa: ASYNC110 - uvicorn offers a flag, no event
        await asyncio.sleep(0.1)
    hub.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _quieten() -> None:
    for library in ("uvicorn", "clickhouse_connect", "urllib3"):
        logging.getLogger(library).setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
