"""Records -> Kafka, each with the broker's acknowledgement.

Delivery reports are collected by a poll thread and handed to the event loop once per poll, not once per
message (measured: 17,000 requests/s on one core against 7,000). Records that come while others await their
report are collected, and handed to librdkafka together once those are reported: what waits in librdkafka for
its turn keeps its thread spinning, without lingering (measured: 122 -> 70 us of CPU per request).

Invariants: a future succeeds only on a delivery report without error (`acks=all`, idempotent); one that is
neither acknowledged nor refused is failed by `give_up`, and what it stood for may still arrive: a duplicate,
not a loss. A fatal error ends one librdkafka producer, not this one: what is pending is failed, and a new one
takes its place. Source: librdkafka's CONFIGURATION.md and INTRODUCTION.md; DESIGN.md, "Acknowledgements".
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Mapping
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingest.delivery.producer_port import NotAcknowledgedError, RefusedError
from ingest.delivery.record import Record
from runtime.kafka import topics

_LOG = logging.getLogger(__name__)
_COLLECT_SECONDS_MAX = 0.01  # a partition whose leader is away holds up the others this long at most
_POLL_SECONDS_MAX = 0.1

# What no later attempt can cure: the message itself is at fault.
_REFUSALS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})


class KafkaProducer:
    """One librdkafka producer at a time; every method is called on the event loop."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._properties = {**DEFAULTS, **properties, **_REQUIRED}
        self._producer = self._new()
        self._numbers = itertools.count()
        self._pending: dict[int, tuple[asyncio.Future[None], float]] = {}  # number -> (future, produced at)
        self._unsent: list[tuple[int, Record]] = []  # in order; handed over by `_next`
        self._next: asyncio.Handle
        self._reports: list[tuple[int, KafkaError | None]] = []
        self._retired: list[Producer] = []
        self._alone: KafkaProducer | None = None  # for what Kafka refused in a batch
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="kafka-poll", daemon=True)
        self._poller.start()

    @property
    def pending(self) -> int:
        """How many records await their delivery report."""
        return len(self._pending) + (self._alone.pending if self._alone else 0)

    def oldest_seconds(self) -> float:
        """Return for how long the oldest pending record has waited; 0 when none does."""
        now = self._loop.time()
        _, produced_at = next(iter(self._pending.values()), (None, now))
        return max(now - produced_at, self._alone.oldest_seconds() if self._alone else 0.0)

    def produce(self, record: Record) -> asyncio.Future[None]:
        """Return a future of the acknowledgement. It raises: NotAcknowledgedError, RefusedError."""
        number = next(self._numbers)
        future = self._loop.create_future()
        self._pending[number] = (future, self._loop.time())
        if not self._unsent:
            wait = _COLLECT_SECONDS_MAX if len(self._producer) else 0.0
            self._next = self._loop.call_later(wait, self._send)
        self._unsent.append((number, record))
        return future

    def produce_alone(self, record: Record) -> asyncio.Future[None]:
        """Do the same in a batch of its own: Kafka refuses a batch as a whole."""
        if self._alone is None:
            self._alone = KafkaProducer({**self._properties, "batch.num.messages": "1"})
        return self._alone.produce(record)

    def give_up(self) -> None:
        """Fail every pending record with NotAcknowledgedError and take it out of librdkafka's queue.

        What is under way stays: only a request that times out makes librdkafka leave a connection that is
        silent. Taken out at every call, it would never be old enough.
        """
        self._unsent.clear()
        self._producer.purge(in_queue=True, in_flight=False, blocking=False)
        self._fail_pending(NotAcknowledgedError("Kafka does not acknowledge"))
        if self._alone:
            self._alone.give_up()

    async def close(self, seconds_max: float) -> None:
        """Wait `seconds_max` at most for what is pending, fail the rest, and stop polling."""
        if self._pending:
            await asyncio.wait([future for future, _ in self._pending.values()], timeout=seconds_max)
        if self._alone:
            await self._alone.close(seconds_max)
        self._stopping.set()
        await asyncio.to_thread(self._poller.join)
        self.give_up()

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        for number, record in unsent:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    headers=[*record.headers],
                    timestamp=record.timestamp_ms,
                    on_delivery=partial(self._report, number),
                )
            except BufferError:
                self._end(number, NotAcknowledgedError("librdkafka's queue is full"))
            except KafkaException as error:
                self._end(number, _failure(error.args[0]))
            except (TypeError, ValueError, OverflowError) as error:
                self._end(number, RefusedError(str(error)))

    def _new(self) -> Producer:
        return Producer(self._properties, logger=logging.getLogger("librdkafka"))

    def _replace(self, failed: Producer, reason: str) -> None:
        """Go on with a new librdkafka producer: after a fatal error the old one takes nothing any more."""
        if failed is not self._producer:
            return
        _LOG.error("kafka_producer_replaced", extra={"reason": reason, "pending": self.pending})
        self._retired.append(failed)
        self._producer = self._new()
        self._unsent.clear()
        self._fail_pending(NotAcknowledgedError(f"a fatal error of the producer: {reason}"))

    def _fail_pending(self, failure: NotAcknowledgedError) -> None:
        for number in list(self._pending):
            self._end(number, failure)

    def _end(self, number: int, failure: Exception | None) -> None:
        future, _ = self._pending.pop(number, (None, 0.0))
        if future is None or future.done():
            return
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
            future.exception()  # not reported by asyncio when its publisher has gone

    def _report(self, number: int, error: KafkaError | None, _message: Message) -> None:
        self._reports.append((number, error))

    def _poll(self) -> None:
        while not self._stopping.is_set():
            producer = self._producer
            try:
                producer.poll(_POLL_SECONDS_MAX)
            except KafkaException as error:  # it is fatal
                self._loop.call_soon_threadsafe(self._replace, producer, error.args[0].str())
            del producer
            self._retired.clear()  # here, for the end of a producer may take its time
            if self._reports:
                reports, self._reports = self._reports, []
                self._loop.call_soon_threadsafe(self._settle, reports)

    def _settle(self, reports: list[tuple[int, KafkaError | None]]) -> None:
        for number, error in reports:
            self._end(number, None if error is None else _failure(error))
        if self._unsent and not len(self._producer):
            self._next.cancel()
            self._send()


DEFAULTS = {
    "client.id": "tapline-ingest",
    "linger.ms": "0",  # a request waits for its acknowledgement: nothing is gained by waiting for more
    **topics.COMPRESSION,
    "reconnect.backoff.max.ms": "1000",
    "socket.keepalive.enable": "true",
    "socket.timeout.ms": "5000",  # a half-open connection is dropped after this
    "message.timeout.ms": "30000",  # `give_up` comes first
    # New partitions are used after this: until then two processes may send one app to two partitions.
    "topic.metadata.refresh.interval.ms": "5000",
}
# Promise 1: what a user's property may not weaken.
_REQUIRED = {
    "acks": "all",
    "enable.idempotence": "true",
    "partitioner": topics.PARTITIONER,
    "message.max.bytes": str(topics.RECORD_BYTES_MAX),
}


def _failure(error: KafkaError) -> Exception:
    kind = RefusedError if error.code() in _REFUSALS else NotAcknowledgedError
    return kind(error.str())
