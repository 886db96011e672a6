"""A record -> Kafka, or the spool while Kafka is unavailable; `publish` returns once it is safe.

The states are in `state.py`. While catching up, spooled records go to Kafka in pieces, each acknowledged
before the next, and new records are spooled behind them. Once at most `_TAIL_BYTES_MAX` are left, new records
are held in memory until Kafka has this tail; then all records go to Kafka directly. Catching up needs no
pause in traffic: writes under way finish, and no new one starts. A tail that takes too long is retried at
half the size.

Invariants: while direct, nothing is spooled. Per key, every record acknowledged earlier comes earlier in
Kafka, apart from repetitions. Source: promise 1 in docs/architecture.md;
docs/decisions/0004-delivery-states.md.
"""

import asyncio
import itertools
import logging
from collections import deque
from typing import Literal, Protocol

from ingest.delivery.hand_over import HandOver
from ingest.delivery.producer_port import NotAcknowledgedError, Producer, RefusedError
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.rescue import Rescue
from ingest.delivery.spool import Spool, SpoolUnavailableError
from ingest.delivery.state import DeliveryEvent, DeliveryState, after
from ingest.delivery.topic_keeper import TopicsNotReadyError
from ingest.metrics import Metrics
from runtime.retry import retrying_async

_LOG = logging.getLogger(__name__)
_DIRECT = DeliveryState.DIRECT  # looked up once: every record passes here
_WATCH_SECONDS = 0.1
_APPEND_SECONDS_MAX = 0.8  # with 2 s for Kafka, an answer comes within 3 s
_DISORDER_SECONDS_MAX = 1.0  # an append may take this long, on top of the time allowed for Kafka
_TAIL_BYTES_MAX = 1024 * 1024  # about a thousand records: 20 ms of work
_TAIL_BYTES_MIN = 4096
_TAIL_DISK_SECONDS_MAX = 1.0  # longer than an append, so any disk that can spool is fast enough
_RETRY_SECONDS_MAX = 2.0  # between two attempts to catch up
_OPEN_AGAIN_SECONDS = 1.0
_OPEN_SECONDS_MAX = 10.0  # after this, an unreadable spool no longer keeps events from Kafka
_REASONS_MAX = 16  # different ones of an outage that are remembered, so that each is logged once

_TRANSIENT = (NotAcknowledgedError, SpoolUnavailableError, TopicsNotReadyError)


class NotKeptError(Exception):
    """Neither Kafka nor the spool has the record. The same call may succeed later."""


class Topics(Protocol):
    """Our topics on the cluster; implemented by `TopicKeeper`."""

    async def ensure(self) -> None:
        """Create missing topics. Raises: TopicsNotReadyError."""


class Publisher:
    """Publishes every record of ingest. Call every method on the event loop."""

    def __init__(
        self,
        producer: Producer,
        spool: Spool,
        topics: Topics,
        rescue: Rescue,
        metrics: Metrics,
        *,
        acknowledge_seconds_max: float,
    ) -> None:
        self._producer = producer
        self._spool = spool
        self._topics = topics
        self._rescue = rescue
        self._hand_over = HandOver(producer, spool, rescue, metrics)
        self._metrics = metrics
        self._acknowledge_seconds_max = acknowledge_seconds_max
        self._hold: asyncio.Future[None] | None = None  # done when the tail delivery ends
        self.held = 0  # records awaiting `_hold`
        self._tail_bytes = _TAIL_BYTES_MAX
        self._numbers = itertools.count()
        self._received_ms: dict[int, int] = {}  # number of a record in flight -> when it was received
        self._indirect = asyncio.Event()  # set while the state is not direct
        self._indirect.set()
        self._overtakes_after = 0.0  # loop time after which an unreadable spool no longer holds records back
        self._logged_reasons = deque[str](maxlen=_REASONS_MAX)  # since Kafka was last used directly
        self.state = DeliveryState.SPOOLING
        self._metrics.delivery_state(self.state)

    @property
    def direct(self) -> bool:
        """Whether records go to Kafka without the spool."""
        return self.state is DeliveryState.DIRECT

    @property
    def spool(self) -> Spool:
        """The spool, for health and metrics."""
        return self._spool

    @property
    def rescue(self) -> Rescue:
        """The rescue, for health and metrics."""
        return self._rescue

    @property
    def spool_bytes(self) -> int:
        """Bytes on disk: spooled and set aside."""
        return self._spool.bytes + self._rescue.set_aside.bytes

    async def run(self) -> None:
        """Open the spool, drain it, and watch Kafka, until cancelled.

        Any exception it raises is a bug, and must end the process.
        """
        self._overtakes_after = asyncio.get_running_loop().time() + _OPEN_SECONDS_MAX
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._open())
            parts.create_task(self._spool.run())
            parts.create_task(self._rescue.run())
            parts.create_task(self._watch())
            parts.create_task(self._drain())

    async def close(self, seconds_max: float) -> None:
        """Wait at most `seconds_max` for acknowledgements; spooled records stay for the next start.

        Cancel `run` first.
        """
        await self._producer.close(seconds_max)
        await self._spool.close()

    def delivered_until_ms(self, now_ms: int) -> int | None:
        """Return the time, at most `now_ms`, up to which Kafka has every acknowledged event.

        This holds for events that this process received before that time by its clock, unless the clock is
        set back. Spooled records and records in flight hold it back. None if the age of the spooled records
        is unknown. Used by `consumers.kit.received_until`.
        """
        spool = self._spool
        oldest_ms = spool.oldest_ms()
        if spool.unavailable or not spool.is_open or (oldest_ms is None and not spool.empty):
            return None
        # A record that waited for Kafka is spooled behind younger ones.
        disorder_ms = round((self._acknowledge_seconds_max + _DISORDER_SECONDS_MAX) * 1000)
        spooled = [] if oldest_ms is None else [oldest_ms - disorder_ms]
        return min([now_ms, *self._received_ms.values(), *spooled])

    async def publish(self, record: OutgoingRecord) -> Literal["kafka", "spool"]:
        """Publish `record` and return where it was kept. Raises: NotKeptError."""
        number = next(self._numbers)
        self._received_ms[number] = record.timestamp_ms
        try:
            if self.state is _DIRECT or (self._hold and await self._is_direct_after(self._hold)):
                try:
                    await self._producer.produce(record)
                except NotAcknowledgedError as error:
                    self._fail(str(error))
                except RefusedError:
                    return await self._publish_alone(record)
                else:
                    return "kafka"
            return await self._append(record)
        finally:
            del self._received_ms[number]

    async def _is_direct_after(self, hold: asyncio.Future[None]) -> bool:
        self.held += 1
        try:
            await asyncio.shield(hold)
        finally:
            self.held -= 1
        return self.state is _DIRECT

    async def _append(self, record: OutgoingRecord) -> Literal["spool"]:
        assert self.state is not DeliveryState.DIRECT, "a record spooled while direct would never be drained"
        try:
            async with asyncio.timeout(_APPEND_SECONDS_MAX):
                await self._spool.append(record)
        except (SpoolUnavailableError, TimeoutError) as error:
            raise NotKeptError(str(error) or "the spool's disk does not respond") from error
        self._metrics.spooled.inc()
        return "spool"

    async def _publish_alone(self, record: OutgoingRecord) -> Literal["kafka", "spool"]:
        try:
            async with asyncio.timeout(self._acknowledge_seconds_max + _APPEND_SECONDS_MAX):
                try:
                    await self._producer.produce_alone(record)
                except RefusedError as error:
                    return await self._rescue.refused(record, str(error))
                return "kafka"
        except (NotAcknowledgedError, SpoolUnavailableError, TimeoutError) as error:
            raise NotKeptError(f"Kafka refuses the record, and it cannot be set aside: {error}") from error

    async def _open(self) -> None:
        while not self._spool.is_open:
            try:
                await self._spool.open()
            except SpoolUnavailableError as error:
                _LOG.warning("spool_unavailable", extra={"reason": str(error)})
                await asyncio.sleep(_OPEN_AGAIN_SECONDS)
        if self.direct and not self._spool.empty:
            self._fail("the spool of an earlier process has become readable")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self._metrics.turned_at.set_to_current_time()
            if self._producer.oldest_seconds() > self._acknowledge_seconds_max:
                self._fail("no acknowledgement within the time limit")
                self._producer.give_up()

    async def _drain(self) -> None:
        while True:
            await self._indirect.wait()
            async for attempt in retrying_async(_TRANSIENT, _RETRY_SECONDS_MAX):
                with attempt:
                    try:
                        await self._catch_up()
                    except (NotAcknowledgedError, TopicsNotReadyError) as error:
                        self._fail(str(error))
                        raise

    async def _catch_up(self) -> None:
        """Drain the spool and switch to direct. Raises: one of _TRANSIENT."""
        await self._topics.ensure()
        if not self._spool.is_open and asyncio.get_running_loop().time() < self._overtakes_after:
            raise SpoolUnavailableError("the spool of an earlier process cannot be read yet")
        self._spool.rewind()
        while piece := await self._spool.read():
            await self._hand_over.deliver(piece)
            await self._spool.remove_delivered()
            self._go(DeliveryEvent.ANSWERED)
            if self._spool.unread_bytes <= self._tail_bytes:
                break
        self._go(DeliveryEvent.ANSWERED)
        self._hold = hold = asyncio.get_running_loop().create_future()
        try:
            await self._deliver_tail()
        finally:
            self._hold = None
            hold.set_result(None)
        await self._spool.clear()

    async def _deliver_tail(self) -> None:
        """Deliver the rest of the spool and switch to direct. Only earlier failures may add to it."""
        try:
            async with asyncio.timeout(self._acknowledge_seconds_max + _TAIL_DISK_SECONDS_MAX):
                while piece := await self._spool.read():
                    await self._hand_over.deliver(piece)
        except TimeoutError as error:
            self._tail_bytes = max(self._tail_bytes // 2, _TAIL_BYTES_MIN)
            raise SpoolUnavailableError("the spool's tail was not delivered in time") from error
        if self.state is not DeliveryState.CATCHING_UP:
            raise NotAcknowledgedError("Kafka failed while the spool's tail was delivered")
        assert self._spool.empty, "a record spooled while direct would never be drained"
        self._tail_bytes = _TAIL_BYTES_MAX
        self._go(DeliveryEvent.CAUGHT_UP)

    def _fail(self, reason: str) -> None:
        self._go(DeliveryEvent.FAILED, reason)

    def _go(self, event: DeliveryEvent, reason: str = "") -> None:
        before, self.state = self.state, after(self.state, event)
        # An outage may begin before Kafka was ever used directly, and its reason may change.
        if self.state is before and (not reason or reason in self._logged_reasons):
            return
        self._logged_reasons.append(reason)
        if self.state is DeliveryState.DIRECT:
            self._logged_reasons.clear()
            self._indirect.clear()
        else:
            self._indirect.set()
        self._metrics.delivery_state(self.state)
        _LOG.log(
            logging.WARNING if event is DeliveryEvent.FAILED else logging.INFO,
            _LOGGED[self.state],
            extra={"reason": reason, "spool_bytes": self._spool.bytes, "pending": self._producer.pending},
        )


_LOGGED = {
    DeliveryState.DIRECT: "kafka_direct",
    DeliveryState.SPOOLING: "kafka_away",
    DeliveryState.CATCHING_UP: "kafka_catching_up",
}
