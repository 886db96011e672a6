"""Records -> Kafka, each with the broker's acknowledgement.

A poll thread collects delivery reports and passes them to the event loop once per poll, not once per message
(measured: 17,000 requests/s on one core against 7,000). Records that arrive while others are in flight are
collected, and handed to librdkafka together once the reports have arrived. A record queued inside librdkafka
keeps its thread spinning when linger is 0 (measured: 122 -> 70 us of CPU per request).

Invariants: a future succeeds only on a delivery report without error (`acks=all`, idempotent). `give_up`
fails records that are neither acknowledged nor refused; they may still arrive, as duplicates but never as
losses. A fatal error replaces the librdkafka producer and fails its pending records. Source: librdkafka's
CONFIGURATION.md and INTRODUCTION.md; docs/decisions/0002-batched-acknowledgements.md.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from ingest.delivery.producer_port import NotAcknowledgedError, RefusedError
from ingest.delivery.record import OutgoingRecord
from runtime.kafka import client_log, topics
from runtime.kafka.diagnosis import Diagnosis, write_rights

_LOG = logging.getLogger(__name__)
# A partition without a leader delays the others by at most this. With 0.01, a Kafka that takes 20 ms
# to answer has as many requests in flight as librdkafka allows,
# whose thread then spins.
_COLLECT_SECONDS_MAX = 0.05
_POLL_SECONDS_MAX = 0.1

_REPLACE_LOG_SECONDS = 60.0
_REPLACE_SECONDS = 2.0  # a producer that fails at once is not replaced more often

# The message itself is at fault, so no retry can succeed.
_REFUSALS = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD})


class KafkaProducer:
    """One librdkafka producer at a time. Call every method on the event loop."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._properties = {**DEFAULTS, **properties, **_REQUIRED}
        self._diagnosis = Diagnosis(properties, write_rights(*topics.ALL))
        self._producer = self._new()
        self._replaced_at, self._replaced_for = float("-inf"), ""
        self._pending: dict[asyncio.Future[None], float] = {}  # future -> produced at
        self._unsent: list[tuple[asyncio.Future[None], OutgoingRecord]] = []  # in order; sent by `_next`
        self._next: asyncio.Handle
        self._reports: list[tuple[asyncio.Future[None], KafkaError | None]] = []
        self._retired: list[Producer] = []
        self._alone: KafkaProducer | None = None  # for records that Kafka refused in a batch
        self._stopping = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="kafka-poll", daemon=True)
        self._poller.start()

    @property
    def pending(self) -> int:
        """The number of records awaiting their delivery report."""
        return len(self._pending) + (self._alone.pending if self._alone else 0)

    def oldest_seconds(self) -> float:
        """Return how long the oldest pending record has waited; 0 if none is pending."""
        now = self._loop.time()
        produced_at = next(iter(self._pending.values()), now)
        return max(now - produced_at, self._alone.oldest_seconds() if self._alone else 0.0)

    def produce(self, record: OutgoingRecord) -> asyncio.Future[None]:
        """Queue `record` and return a future for its acknowledgement.

        Raises, from the future: NotAcknowledgedError, RefusedError.
        """
        future = self._loop.create_future()
        self._pending[future] = self._loop.time()
        if not self._unsent:
            wait = _COLLECT_SECONDS_MAX if len(self._producer) else 0.0
            self._next = self._loop.call_later(wait, self._send)
        self._unsent.append((future, record))
        return future

    def produce_alone(self, record: OutgoingRecord) -> asyncio.Future[None]:
        """Produce `record` in a batch of its own, because Kafka refuses a batch as a whole."""
        if self._alone is None:
            self._alone = KafkaProducer({**self._properties, "batch.num.messages": "1"})
        return self._alone.produce(record)

    def give_up(self) -> None:
        """Fail every pending record with NotAcknowledgedError and purge librdkafka's queue.

        In-flight requests stay: librdkafka drops a silent connection only when one of its requests times out.
        Purging them would reset that timeout at every call.
        """
        self._unsent.clear()
        self._producer.purge(in_queue=True, in_flight=False, blocking=False)
        self._fail_pending(NotAcknowledgedError("Kafka does not acknowledge"))
        if self._alone:
            self._alone.give_up()

    async def close(self, seconds_max: float) -> None:
        """Wait at most `seconds_max` for pending records, fail the rest, and stop polling."""
        if self._pending:
            await asyncio.wait(self._pending, timeout=seconds_max)
        if self._alone:
            await self._alone.close(seconds_max)
        self._stopping.set()
        await asyncio.to_thread(self._poller.join)
        self.give_up()

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        for future, record in unsent:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    headers=[*record.headers],
                    timestamp=record.timestamp_ms,
                    on_delivery=partial(self._report, future),
                )
            except BufferError:
                self._end(future, NotAcknowledgedError("librdkafka's queue is full"))
            except KafkaException as error:
                self._end(future, self._failure(error.args[0]))
            except (TypeError, ValueError, OverflowError) as error:
                self._end(future, RefusedError(str(error)))

    def _failure(self, error: KafkaError) -> Exception:
        kind = RefusedError if error.code() in _REFUSALS else NotAcknowledgedError
        return kind(self._diagnosis.denial(error) or error.str())

    def _new(self) -> Producer:
        return Producer(self._properties, logger=client_log.LOG)

    def _replace(self, failed: Producer, reason: str) -> None:
        """Replace the librdkafka producer after a fatal error: it accepts no more records."""
        if failed is not self._producer:
            return
        # A missing right is fatal to each producer in turn.
        since_last = self._loop.time() - self._replaced_at
        if reason != self._replaced_for or since_last > _REPLACE_LOG_SECONDS:
            _LOG.error("kafka_producer_replaced", extra={"reason": reason, "pending": self.pending})
        self._replaced_at, self._replaced_for = self._loop.time(), reason
        self._retired.append(failed)
        self._producer = self._new()
        self._unsent.clear()
        self._fail_pending(NotAcknowledgedError(f"fatal producer error: {reason}"))

    def _fail_pending(self, failure: NotAcknowledgedError) -> None:
        for future in list(self._pending):
            self._end(future, failure)

    def _end(self, future: asyncio.Future[None], failure: Exception | None) -> None:
        if self._pending.pop(future, None) is None or future.done():
            return
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
            future.exception()  # keeps asyncio from logging it if the publisher is gone

    def _report(self, future: asyncio.Future[None], error: KafkaError | None, _message: Message) -> None:
        self._reports.append((future, error))

    def _poll(self) -> None:
        while not self._stopping.is_set():
            producer = self._producer
            try:
                producer.poll(_POLL_SECONDS_MAX)
            except KafkaException as error:  # fatal
                fault = error.args[0]
                self._stopping.wait(self._replaced_at + _REPLACE_SECONDS - self._loop.time())
                reason = self._diagnosis.denial(fault) or fault.str()
                self._loop.call_soon_threadsafe(self._replace, producer, reason)
            del producer
            self._retired.clear()  # here, because closing a producer may block
            if self._reports:
                reports, self._reports = self._reports, []
                self._loop.call_soon_threadsafe(self._settle, reports)

    def _settle(self, reports: list[tuple[asyncio.Future[None], KafkaError | None]]) -> None:
        for future, error in reports:
            self._end(future, None if error is None else self._failure(error))
        if self._unsent and not len(self._producer):
            self._next.cancel()
            self._send()


DEFAULTS = {
    "client.id": "tapline-ingest",
    "linger.ms": "0",  # requests wait for their acknowledgement, so lingering gains nothing
    **topics.COMPRESSION,
    "reconnect.backoff.max.ms": "1000",
    "socket.keepalive.enable": "true",
    "socket.timeout.ms": "5000",  # drops a half-open connection after this
    "message.timeout.ms": "30000",  # `give_up` comes first
    # New partitions are used after this. Until then two processes may send one app to two partitions.
    "topic.metadata.refresh.interval.ms": "5000",
}
# Promise 1: user properties must not weaken these.
_REQUIRED = {
    "acks": "all",
    "enable.idempotence": "true",
    "partitioner": topics.PARTITIONER,
    "message.max.bytes": str(topics.RECORD_BYTES_MAX),
}
