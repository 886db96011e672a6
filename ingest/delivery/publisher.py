"""A record -> Kafka, or the spool while Kafka is away; it returns when the record is safe.

`state.py` has the states. While catching up, what is spooled goes to Kafka in pieces, each acknowledged
before the next, and arrivals go behind it on disk. As soon as no more than `_TAIL_BYTES_MAX` are left,
arrivals are held in memory instead, until Kafka has this tail; then they and all others go to Kafka alone.
This waits for no silence: the writes under way end, and none begins. A tail that takes too long is tried
again with half as much.

Invariants: while direct, nothing is spooled. Whatever was acknowledged before a record was accepted precedes
it in Kafka, in its key, repetitions aside. Source: promise 1 in DESIGN.md, and "The way out of ingest".
"""

import asyncio
import logging
from typing import Literal, Protocol

from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from ingest.delivery.hand_over import HandOver
from ingest.delivery.producer_port import NotAcknowledgedError, Producer, RefusedError
from ingest.delivery.record import Record
from ingest.delivery.rescue import Rescue
from ingest.delivery.spool import Spool, SpoolUnavailableError
from ingest.delivery.state import Event, State, after
from ingest.delivery.topic_keeper import TopicsNotReadyError
from ingest.metrics import Metrics

_LOG = logging.getLogger(__name__)
_DIRECT = State.DIRECT  # looked up once: this is the path of every record
_WATCH_SECONDS = 0.1
_APPEND_SECONDS_MAX = 0.8  # with 2 s for Kafka, an answer comes within 3 s
_TAIL_BYTES_MAX = 1024 * 1024  # about a thousand records: 20 ms of work
_TAIL_BYTES_MIN = 4096
_TAIL_DISK_SECONDS_MAX = 1.0  # longer than an append: any disk that can be spooled to is quick enough
_RETRY_SECONDS_MAX = 2.0  # between two attempts to catch up
_OPEN_AGAIN_SECONDS = 1.0
_OPEN_SECONDS_MAX = 10.0  # then a spool that cannot be read no longer keeps events from Kafka


_TRANSIENT = (NotAcknowledgedError, SpoolUnavailableError, TopicsNotReadyError)


class NotKeptError(Exception):
    """Neither Kafka nor the spool has the record. The same call may succeed later."""


class Topics(Protocol):
    """Our topics on the cluster; `TopicKeeper` is the real one."""

    async def ensure(self) -> None:
        """Make what is missing. Raises: TopicsNotReadyError."""


class Publisher:
    """The way of every record out of ingest; every method is called on the event loop."""

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
        self._hold: asyncio.Future[None] | None = None  # ends when Kafka has the spool's tail, or has it not
        self.held = 0  # records that wait for that
        self._tail_bytes = _TAIL_BYTES_MAX
        self._indirect = asyncio.Event()  # set while the state is not direct
        self._indirect.set()
        self._overtakes_after = 0.0  # what an earlier process spooled, where that cannot be read
        self.state = State.SPOOLING
        self._metrics.delivery_state(self.state)

    @property
    def direct(self) -> bool:
        """Whether records go to Kafka without the spool."""
        return self.state is State.DIRECT

    @property
    def spool(self) -> Spool:
        """The spool, for health and metrics."""
        return self._spool

    @property
    def rescue(self) -> Rescue:
        """What is set aside, for health and metrics."""
        return self._rescue

    @property
    def spool_bytes(self) -> int:
        """Bytes on disk: awaiting Kafka, and set aside."""
        return self._spool.bytes + self._rescue.set_aside.bytes

    async def run(self) -> None:
        """Find what an earlier process spooled, drain it, and watch Kafka, until cancelled.

        Whatever it raises is a fault of ours: the process is to end.
        """
        self._overtakes_after = asyncio.get_running_loop().time() + _OPEN_SECONDS_MAX
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._open())
            parts.create_task(self._spool.run())
            parts.create_task(self._rescue.run())
            parts.create_task(self._watch())
            parts.create_task(self._drain())

    async def close(self, seconds_max: float) -> None:
        """Wait `seconds_max` at most for acknowledgements; what is spooled stays for the next start.

        `run` has been cancelled before.
        """
        await self._producer.close(seconds_max)
        await self._spool.close()

    async def publish(self, record: Record) -> Literal["kafka", "spool"]:
        """Return where `record` now is safe. Raises: NotKeptError."""
        try:
            if self.state is _DIRECT or (self._hold and await self._is_direct_after(self._hold)):
                await self._producer.produce(record)
                return "kafka"
        except NotAcknowledgedError as error:
            self._fail(str(error))
        except RefusedError:
            return await self._publish_alone(record)
        return await self._append(record)

    async def _is_direct_after(self, hold: asyncio.Future[None]) -> bool:
        self.held += 1
        try:
            await asyncio.shield(hold)
        finally:
            self.held -= 1
        return self.state is _DIRECT

    async def _append(self, record: Record) -> Literal["spool"]:
        assert self.state is not State.DIRECT, "what is spooled while direct would stay"
        try:
            async with asyncio.timeout(_APPEND_SECONDS_MAX):
                await self._spool.append(record)
        except (SpoolUnavailableError, TimeoutError) as error:
            raise NotKeptError(str(error) or "the spool's disk does not answer") from error
        self._metrics.spooled.inc()
        return "spool"

    async def _publish_alone(self, record: Record) -> Literal["kafka", "spool"]:
        try:
            async with asyncio.timeout(self._acknowledge_seconds_max + _APPEND_SECONDS_MAX):
                try:
                    await self._producer.produce_alone(record)
                except RefusedError as error:
                    return await self._rescue.refused(record, str(error))
                return "kafka"
        except (NotAcknowledgedError, SpoolUnavailableError, TimeoutError) as error:
            raise NotKeptError(f"Kafka refuses it, and it cannot be set aside: {error}") from error

    async def _open(self) -> None:
        while not self._spool.is_open:
            try:
                await self._spool.open()
            except SpoolUnavailableError as error:
                _LOG.warning("spool_unavailable", extra={"reason": str(error)})
                await asyncio.sleep(_OPEN_AGAIN_SECONDS)
        if self.direct and not self._spool.empty:
            self._fail("what an earlier process spooled can be read only now")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            self._metrics.turned_at.set_to_current_time()
            if self._producer.oldest_seconds() > self._acknowledge_seconds_max:
                self._fail("no acknowledgement within the bound")
                self._producer.give_up()

    async def _drain(self) -> None:
        while True:
            await self._indirect.wait()
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(_TRANSIENT),
                wait=wait_random_exponential(multiplier=0.1, max=_RETRY_SECONDS_MAX),
            ):
                with attempt:
                    try:
                        await self._catch_up()
                    except (NotAcknowledgedError, TopicsNotReadyError) as error:
                        self._fail(str(error))
                        raise

    async def _catch_up(self) -> None:
        """Be direct once Kafka has what is spooled. Raises: one of _TRANSIENT."""
        await self._topics.ensure()
        if not self._spool.is_open and asyncio.get_running_loop().time() < self._overtakes_after:
            raise SpoolUnavailableError("it is not known what an earlier process spooled")
        self._spool.rewind()
        while piece := await self._spool.read():
            await self._hand_over.deliver(piece)
            await self._spool.remove_delivered()
            self._go(Event.ANSWERED)
            if self._spool.unread_bytes <= self._tail_bytes:
                break
        self._go(Event.ANSWERED)
        self._hold = hold = asyncio.get_running_loop().create_future()
        try:
            await self._deliver_tail()
        finally:
            self._hold = None
            hold.set_result(None)
        await self._spool.clear()

    async def _deliver_tail(self) -> None:
        """Deliver the rest of the spool, to which nothing is added but what failed before, and be direct."""
        try:
            async with asyncio.timeout(self._acknowledge_seconds_max + _TAIL_DISK_SECONDS_MAX):
                while piece := await self._spool.read():
                    await self._hand_over.deliver(piece)
        except TimeoutError as error:
            self._tail_bytes = max(self._tail_bytes // 2, _TAIL_BYTES_MIN)
            raise SpoolUnavailableError("the spool's tail was not delivered in time") from error
        if self.state is not State.CATCHING_UP:
            raise NotAcknowledgedError("Kafka failed while the spool's tail was delivered")
        assert self._spool.empty, "what is spooled while direct would stay"
        self._tail_bytes = _TAIL_BYTES_MAX
        self._go(Event.CAUGHT_UP)

    def _fail(self, reason: str) -> None:
        self._go(Event.FAILED, reason)

    def _go(self, event: Event, reason: str = "") -> None:
        before, self.state = self.state, after(self.state, event)
        if self.state is before:
            return
        if self.state is State.DIRECT:
            self._indirect.clear()
        else:
            self._indirect.set()
        self._metrics.delivery_state(self.state)
        _LOG.log(
            logging.WARNING if event is Event.FAILED else logging.INFO,
            _LOGGED[self.state],
            extra={"reason": reason, "spool_bytes": self._spool.bytes, "pending": self._producer.pending},
        )


_LOGGED = {
    State.DIRECT: "kafka_direct",
    State.SPOOLING: "kafka_away",
    State.CATCHING_UP: "kafka_catching_up",
}
