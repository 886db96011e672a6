"""Records that Kafka refuses for good, and damaged spool bytes -> the quarantine topic, else a file.

Invariant: a method returns only when Kafka has its data or the disk has synced it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Literal

from ingest.delivery import quarantined, segment
from ingest.delivery.producer_port import Producer, RefusedError
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.set_aside import SetAside
from ingest.metrics import Metrics
from runtime.kafka import topics
from schemas.catalog.catalog import Catalog

_LOG = logging.getLogger(__name__)
_SCAN_SECONDS = 10.0
_DAMAGE_BYTES_MAX = 256 * 1024  # per record, within Kafka's default limit


class Rescue:
    """Keeps data that its own topic cannot take."""

    def __init__(
        self, producer: Producer, set_aside: SetAside, catalog: Callable[[], Catalog], metrics: Metrics
    ) -> None:
        self._producer = producer
        self._set_aside = set_aside
        self._catalog = catalog  # returns the catalog in use
        self._metrics = metrics

    @property
    def set_aside(self) -> SetAside:
        """The files, for health and metrics."""
        return self._set_aside

    async def run(self) -> None:
        """Count the files set aside, again and again, because `python -m ingest.spool` may requeue them."""
        await self._set_aside.open()
        while True:
            await asyncio.sleep(_SCAN_SECONDS)
            await self._set_aside.scan()

    async def refused(self, record: OutgoingRecord, why: str) -> Literal["kafka", "spool"]:
        """Keep a refused `record` and return where. Raises: NotAcknowledgedError, SpoolUnavailableError."""
        kept: Literal["kafka", "spool"] = "spool"
        if record.topic != topics.QUARANTINE and await self._quarantine(
            quarantined.of_refused(self._catalog(), record, why), "refused"
        ):
            kept = "kafka"
        else:
            await self._set_aside.keep(segment.frame(record), record.timestamp_ms)
        self._metrics.refused.inc()
        _LOG.error("record_refused_by_kafka", extra={"reason": why, "topic": record.topic, "kept": kept})
        return kept

    async def damaged(self, data: bytes) -> None:
        """Keep damaged spool bytes. Raises: NotAcknowledgedError, SpoolUnavailableError."""
        for start in range(0, len(data), _DAMAGE_BYTES_MAX):
            part = data[start : start + _DAMAGE_BYTES_MAX]
            detail = f"bytes {start} to {start + len(part)} of {len(data)} that the spool cannot read"
            record = quarantined.of_damage(self._catalog(), part, detail, time.time_ns() // 1_000_000)
            if not await self._quarantine(record, "damaged"):
                await self._set_aside.keep(part, 0)
        self._metrics.damaged_bytes.inc(len(data))
        _LOG.error("spool_segment_damaged", extra={"damaged_bytes": len(data)})

    async def _quarantine(self, record: OutgoingRecord, reason: str) -> bool:
        try:
            await self._producer.produce_alone(record)
        except RefusedError:
            return False
        self._metrics.quarantined[reason,] += 1
        return True
