"""A record -> Kafka, or the spool while Kafka is away; it returns when the record is safe.

Two states. Direct: records go to Kafka. Away: they go to the spool, which a task drains in order. Away begins
when Kafka has not acknowledged the oldest record within the bound, and ends when the last spooled record has
been handed to the producer, behind which newer ones keep their order.

Invariants: a segment is removed after the delivery reports of all its records; each key's order is that in
which records were accepted, repetitions aside. Source: promise 1 in DESIGN.md.
"""

import asyncio
import logging
from typing import Literal

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from ingest.delivery.producer import KafkaProducer, NotAcknowledgedError, RefusedError
from ingest.delivery.record import Record
from ingest.delivery.segment import Contents
from ingest.delivery.spool import Spool, SpoolUnavailableError
from ingest.delivery.topic_keeper import TopicKeeper, TopicsNotReadyError
from ingest.metrics import Metrics

_LOG = logging.getLogger(__name__)
_WATCH_SECONDS = 0.1
_APPEND_SECONDS_MAX = 0.8  # with 2 s for Kafka, an answer comes within 3 s
_DRAIN_RECORDS_MAX = 1000  # awaiting acknowledgement at once
_RETRY_SECONDS_MAX = 2.0  # between two attempts to drain


class NotKeptError(Exception):
    """Neither Kafka nor the spool has the record. The same call may succeed later."""


class Publisher:
    """The way of every record out of ingest; every method is called on the event loop."""

    def __init__(
        self,
        producer: KafkaProducer,
        spool: Spool,
        topics: TopicKeeper,
        metrics: Metrics,
        *,
        acknowledge_seconds_max: float,
    ) -> None:
        self._producer = producer
        self._spool = spool
        self._topics = topics
        self._metrics = metrics
        self._acknowledge_seconds_max = acknowledge_seconds_max
        self._away = asyncio.Event()  # set while records go to the spool
        self._away.set()

    @property
    def direct(self) -> bool:
        """Whether records go to Kafka without the spool."""
        return not self._away.is_set()

    @property
    def spool(self) -> Spool:
        """The spool, for health and metrics."""
        return self._spool

    async def open(self) -> None:
        """Find what an earlier process spooled."""
        await self._spool.open()

    async def run(self) -> None:
        """Drain the spool and watch Kafka, until cancelled. What it raises is a fault of ours."""
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._watch())
            parts.create_task(self._drain_when_away())

    async def close(self, seconds_max: float) -> None:
        """Wait `seconds_max` at most for acknowledgements; what is spooled stays for the next start.

        `run` has ended before.
        """
        await self._producer.close(seconds_max)
        await self._spool.close()

    async def publish(self, record: Record) -> Literal["kafka", "spool"]:
        """Return where `record` now is safe. Raises: NotKeptError."""
        if self.direct:
            try:
                await self._producer.produce(record)
            except NotAcknowledgedError as error:
                self._go_away(str(error))
            except RefusedError as error:
                self._metrics.refused.inc()
                raise NotKeptError(f"Kafka refuses the record: {error}") from error
            else:
                return "kafka"
        try:
            async with asyncio.timeout(_APPEND_SECONDS_MAX):
                await self._spool.append(record)
        except (SpoolUnavailableError, TimeoutError) as error:
            raise NotKeptError(str(error) or "the spool's disk does not answer") from error
        self._metrics.spooled.inc()
        return "spool"

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self._metrics.turned_at.set_to_current_time()
            if self._producer.oldest_seconds() > self._acknowledge_seconds_max:
                self._go_away("no acknowledgement within the bound")
                self._producer.give_up()

    async def _drain_when_away(self) -> None:
        while True:
            await self._away.wait()
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(
                    (NotAcknowledgedError, SpoolUnavailableError, TopicsNotReadyError)
                ),
                wait=wait_random_exponential(multiplier=0.1, max=_RETRY_SECONDS_MAX),
            ):
                with attempt:
                    await self._drain()

    async def _drain(self) -> None:
        await self._topics.ensure()
        while path := await self._spool.oldest():
            contents = await self._spool.read(path)
            refused = 0
            for first in range(0, len(contents.records), _DRAIN_RECORDS_MAX):
                last = first + _DRAIN_RECORDS_MAX >= len(contents.records) and self._spool.is_last(path)
                refused += await self._hand_over(
                    contents.records[first : first + _DRAIN_RECORDS_MAX], last=last
                )
            if contents.damaged_bytes or contents.torn_bytes or refused:
                self._report_damage(path.name, contents, refused)
            await self._spool.remove(path, set_aside=bool(contents.damaged_bytes or refused))
            self._metrics.drained.inc(len(contents.records) - refused)
        self._come_back()

    async def _hand_over(self, records: list[Record], *, last: bool) -> int:
        """Return how many of `records` Kafka refuses. Raises: NotAcknowledgedError."""
        acknowledgements = [self._producer.produce(record) for record in records]
        if last:
            self._come_back()
        if acknowledgements:
            await asyncio.wait(acknowledgements)
        failures = [failure for done in acknowledgements if (failure := done.exception())]
        refused = sum(isinstance(failure, RefusedError) for failure in failures)
        if refused < len(failures):
            self._go_away("the spool cannot be drained")
            raise NotAcknowledgedError("Kafka does not acknowledge")
        return refused

    def _go_away(self, reason: str) -> None:
        if self.direct:
            self._away.set()
            self._metrics.direct.set(0)
            _LOG.warning("kafka_away", extra={"reason": reason, "pending": self._producer.pending})

    def _come_back(self) -> None:
        if not self.direct:
            self._away.clear()
            self._metrics.direct.set(1)
            _LOG.info("kafka_direct", extra={"spool_bytes": self._spool.bytes})

    def _report_damage(self, name: str, contents: Contents, refused: int) -> None:
        self._metrics.damaged_bytes.inc(contents.damaged_bytes)
        self._metrics.refused.inc(refused)
        _LOG.error(
            "spool_segment_damaged" if contents.damaged_bytes or refused else "spool_segment_torn",
            extra={
                "segment": name,
                "records": len(contents.records),
                "damaged_bytes": contents.damaged_bytes,
                "torn_bytes": contents.torn_bytes,
                "refused_by_kafka": refused,
            },
        )
