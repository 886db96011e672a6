"""State of ingest -> health endpoints for load balancers, supervisors and Prometheus.

`/healthz`: the event loop runs. `/readyz`: an event sent now would be kept, by Kafka or by the spool. Source:
docs/decisions/0008-two-ports.md. Sink health is a separate metric (`tapline_ingest_delivery_state`), not part
of readiness. "kafka" is "direct" or "away" (also while catching up); "state" is exact.
"""

import time

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.delivery.publisher import Publisher
from ingest.delivery.topic_keeper import TopicKeeper
from ingest.metrics import Metrics


class Health:
    """The health endpoints of one publisher."""

    def __init__(self, publisher: Publisher, topics: TopicKeeper, metrics: Metrics) -> None:
        self._publisher = publisher
        self._topics = topics
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._scrape),
        ]

    async def _healthz(self, _request: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def _readyz(self, _request: Request) -> Response:
        spool, set_aside = self._publisher.spool, self._publisher.rescue.set_aside
        room = not spool.unavailable and spool.bytes < spool.bytes_max
        state = {
            "ready": self._publisher.direct or room,
            "kafka": "direct" if self._publisher.direct else "away",
            "state": self._publisher.state.value,
            "spool_records": spool.records,
            "spool_bytes": self._publisher.spool_bytes,
            "spool_bytes_max": spool.bytes_max,
            "spool_oldest_ms": spool.oldest_ms(),
            "spool_unavailable": spool.unavailable or None,
            "delivered_until_ms": self._publisher.delivered_until_ms(time.time_ns() // 1_000_000),
            "topic_problems": self._topics.findings,  # None: unknown
            "kafka_problem": self._topics.kafka_problem or None,
            "set_aside_files": set_aside.files,
            "set_aside_bytes": set_aside.bytes,
            "set_aside_bytes_max": set_aside.bytes_max,
        }
        return Response(
            msgspec.json.encode(state), 200 if state["ready"] else 503, media_type="application/json"
        )

    async def _scrape(self, _request: Request) -> Response:
        return Response(
            generate_latest(self._metrics.registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )
