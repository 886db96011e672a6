"""Environment -> a running live page: `python -m consumers.live`.

Invariant: a stop closes the open streams first, so that the server stops at once. Exit status: see `process`.
"""

import asyncio
import logging
import os
import time
from socket import socket

# Before importing the driver: its C parser hangs or crashes the process on a malformed response.
os.environ.setdefault("CLICKHOUSE_CONNECT_USE_C", "0")

from consumers.kit.erasures.follower import ErasureFollower
from consumers.live import app, certificate
from consumers.live.broadcaster import Broadcaster
from consumers.live.clickhouse import ClickHouseSource, QueryLimits
from consumers.live.ingest import IngestSource
from consumers.live.kafka import KafkaSource
from consumers.live.metrics import Metrics
from consumers.live.newest import Newest
from consumers.live.page_state import ALL, PageState
from consumers.live.poller import PolledSource, Poller
from consumers.live.replays import Replays
from consumers.live.samples import Samples
from consumers.live.settings import Settings
from consumers.live.state import CLICKHOUSE, INGEST, KAFKA
from runtime import certificates
from runtime.http.server import Port, bind, serve
from runtime.process import Process, main
from schemas.catalog.schema_reloader import SchemaReloader, lenient_reloader

_log = logging.getLogger("consumers.live")

_STOP_SECONDS_MAX = 5
_CERTIFICATE_ROUNDS = 60  # one check per this many refreshes of the page: a handshake a minute


def _serve(process: Process) -> None:
    _quieten()
    settings = Settings.from_env(os.environ)
    reloader = lenient_reloader(settings.schemas_dir, settings.schema_registry)
    sockets = bind(settings.host, settings.port, "LIVE_PORT")
    asyncio.run(_run(process, settings, reloader, sockets))


async def _run(process: Process, settings: Settings, reloader: SchemaReloader, sockets: list[socket]) -> None:
    metrics = Metrics()
    broadcaster = Broadcaster(settings.pages_max, metrics)
    sources = _sources(settings, reloader)
    shown = tuple(name for name in ALL if name != INGEST or INGEST in sources)
    page_state = PageState(shown, _now_ms(), round(settings.refresh_seconds * 1000))
    # After a rest, each of nine queries may take its full time.
    stalled_seconds = 40 + settings.refresh_seconds + 10 * settings.query_seconds_max
    poller = Poller(page_state, sources, broadcaster, metrics, _now_ms, stalled_seconds)
    replays = Replays(settings.of_replay(os.environ), page_state, metrics, _now_ms, process.start)
    metrics.schemas.set_function(lambda: len(reloader.catalog.releases))
    reloader.on_refused = metrics.schemas_refused.inc
    token = settings.token.get_secret_value() if settings.token else None
    parts = app.PageParts(page_state, broadcaster, metrics, replays, reloader, _now_ms, token, poller.stalled)
    stopping = asyncio.Event()

    def stop() -> None:
        broadcaster.close()  # the server waits for open streams
        stopping.set()

    _log.info("live_started", extra={"host": settings.host, "port": settings.port})
    running = poller.parts(settings.refresh_seconds) | {"schemas": reloader.watch()}
    if settings.public_url:
        running["certificate"] = _watch_certificate(settings, metrics)
    running["server_certificates"] = _watch_servers(settings, metrics)
    serving = serve([Port(app.build(parts), sockets)], stopping, timeout_graceful_shutdown=_STOP_SECONDS_MAX)
    await process.keep(serving, stop, running, 2 * _STOP_SECONDS_MAX)
    _log.info("live_stopped")


async def _watch_certificate(settings: Settings, metrics: Metrics) -> None:
    """Check the certificate of the public address again and again."""
    url, logged = settings.public_url, ""
    while True:
        status = await asyncio.to_thread(certificate.check, url)
        metrics.show_certificate(status)
        if status.fault != logged:
            logged = status.fault
            _log.warning("certificate_seen", extra={"url": url, "fault": status.fault or None})
        await asyncio.sleep(_CERTIFICATE_ROUNDS * settings.refresh_seconds)


async def _watch_servers(settings: Settings, metrics: Metrics) -> None:
    """Check the certificates of Kafka and ClickHouse again and again."""
    url = settings.clickhouse_url.get_secret_value()
    certificates.watch_files(metrics.certificates, settings.kafka, settings.schema_registry, url)
    while True:
        found = await asyncio.to_thread(certificate.of_servers, settings.kafka, url)
        for name, expires_at_seconds in found.items():
            metrics.certificates.labels(name).set(expires_at_seconds)
        await asyncio.sleep(_CERTIFICATE_ROUNDS * settings.refresh_seconds)


def _sources(settings: Settings, reloader: SchemaReloader) -> dict[str, PolledSource]:
    def types() -> list[str]:
        return [release.name for release in reloader.catalog.newest_releases() if release.family == "mobile"]

    limits = QueryLimits(
        settings.query_seconds_max, settings.query_share_max, settings.silent_minutes, settings.apps_max
    )
    url = settings.clickhouse_url.get_secret_value()
    erasures = ErasureFollower(settings.kafka, settings.group, settings.erasure_key)
    sources: dict[str, PolledSource] = {
        CLICKHOUSE: ClickHouseSource(url, types, limits, Samples(reloader).text, settings.time_zone),
        KAFKA: KafkaSource(settings.kafka, settings.group, Newest(reloader, erasures)),
    }
    if settings.ingest_urls:
        sources[INGEST] = IngestSource(settings.ingest_urls)
    return sources


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _quieten() -> None:
    for library in ("uvicorn", "urllib3"):
        logging.getLogger(library).setLevel(logging.ERROR)


if __name__ == "__main__":
    main("the live page", _serve)
