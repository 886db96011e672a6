"""A Kafka that delays, fails, loses reports and has fatal errors at random; and a producer for it.

Invariants: acknowledged records are in the log; records of one key that a producer has not failed are
appended in order. It is worse than the real one: any record in flight may fail, and a record given up may be
appended much later. tests/integration/test_producer.py holds it and `KafkaProducer` to one contract.
"""

import asyncio
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from ingest.delivery.producer_port import NotAcknowledgedError, RefusedError
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.topic_keeper import TopicsNotReadyError

ID = re.compile(rb"<\d+>")
_LATE_SECONDS_MAX = 5.0
_REFUSED_WITH_IT = 0.5  # probability that a record in flight was in the batch of a rejected one
_APART_SECONDS = 1e-6  # of one key: timers of the same moment have no order


@dataclass(slots=True)
class Weather:
    """The present state of Kafka and of the network."""

    seconds: float = 0.002  # an acknowledgement takes about this
    hangs: bool = False  # nothing is appended until this ends
    lost: float = 0.0  # probability that a record never arrives, and nothing reports it
    unreported: float = 0.0  # probability that a record is appended, and nothing reports it
    failed: float = 0.0  # probability that a report is an error; half of these records are appended
    refuses_quarantine: bool = False  # records that it rejects are rejected for the quarantine topic as well
    answers: bool = True  # about its topics


class Kafka:
    """The broker: one log for all producers."""

    def __init__(self, refuses: Callable[[OutgoingRecord], bool] = lambda _: False) -> None:
        self.weather = Weather()
        self.refuses = refuses
        self.log: list[OutgoingRecord] = []
        self.ids: set[bytes] = set()  # what its records hold of `<number>`
        self._resumed: list[Callable[[], None]] = []

    def append(self, record: OutgoingRecord, done: Callable[[], None]) -> None:
        """Append now, or when Kafka no longer hangs."""
        if self.weather.hangs:
            self._resumed.append(lambda: self.append(record, done))
            return
        self.log.append(record)
        self.ids.update(ID.findall(record.value))
        done()

    def hang(self) -> None:
        """Stop appending."""
        self.weather.hangs = True

    def resume(self) -> None:
        """Append, in order, the records that came while it hung."""
        self.weather.hangs = False
        waiting, self._resumed = self._resumed, []
        for append in waiting:
            append()


@dataclass(slots=True)
class _Pending:
    record: OutgoingRecord
    future: asyncio.Future[None]
    produced_at: float
    is_sent: bool = False  # it may arrive from now on, whatever happens to the producer
    is_appended: bool = False
    is_alone: bool = False  # in its batch


class FakeProducer:
    """A `Producer`."""

    def __init__(self, kafka: Kafka, rng: random.Random) -> None:
        self.is_alive = True
        self._kafka = kafka
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._pending: dict[int, _Pending] = {}
        self._appended_at: dict[tuple[bytes, bool], float] = defaultdict(float)  # when the last one is due

    @property
    def pending(self) -> int:
        """The number of records awaiting their delivery report."""
        return len(self._pending)

    def oldest_seconds(self) -> float:
        """Return how long the oldest pending record has waited; 0 if none is pending."""
        oldest = next(iter(self._pending.values()), None)
        return self._loop.time() - oldest.produced_at if oldest else 0.0

    def produce(self, record: OutgoingRecord) -> asyncio.Future[None]:
        """Return a future of the acknowledgement. It raises: NotAcknowledgedError, RefusedError."""
        return self._produce(record, is_alone=False)

    def produce_alone(self, record: OutgoingRecord) -> asyncio.Future[None]:
        """Do the same in a batch of its own: Kafka rejects a batch as a whole."""
        return self._produce(record, is_alone=True)

    def give_up(self) -> None:
        """Fail every pending record with NotAcknowledgedError; unsent ones are never sent."""
        self._abandon(NotAcknowledgedError("given up"))

    def fail_fatally(self) -> None:
        """Have a fatal error, after which a new producer is needed."""
        self._abandon(NotAcknowledgedError("a fatal error"))
        self._appended_at.clear()

    def crash(self) -> None:
        """End with the process; records in flight may arrive or not."""
        self.is_alive = False
        for pending in self._pending.values():
            if pending.is_sent and not self._refuses(pending.record) and self._rng.random() < 0.5:
                self._arrive_late(pending)

    async def close(self, seconds_max: float) -> None:
        """Wait at most `seconds_max` for pending records, and fail the rest."""
        if futures := [pending.future for pending in self._pending.values()]:
            await asyncio.wait(futures, timeout=seconds_max)
        self.give_up()

    def _produce(self, record: OutgoingRecord, *, is_alone: bool) -> asyncio.Future[None]:
        number, now = next(self._numbers), self._loop.time()
        pending = _Pending(record, self._loop.create_future(), now, is_alone=is_alone)
        self._pending[number] = pending
        way = record.key, is_alone
        due = max(now + self._seconds(), self._appended_at[way] + _APART_SECONDS)
        self._appended_at[way] = due
        self._loop.call_soon(self._send, pending)
        self._loop.call_at(due, self._arrive, number, pending)
        return pending.future

    def _seconds(self) -> float:
        return self._kafka.weather.seconds * self._rng.uniform(0.5, 1.5)

    def _send(self, pending: _Pending) -> None:
        pending.is_sent = self.is_alive and not pending.future.done()

    def _arrive(self, number: int, pending: _Pending) -> None:
        weather, chance = self._kafka.weather, self._rng.random()
        if number not in self._pending or not self.is_alive or chance < weather.lost:
            return
        if self._refuses(pending.record):
            self._refuse(number, pending)
        elif (chance := self._rng.random()) < weather.failed:
            if chance < weather.failed / 2:
                self._kafka.append(pending.record, lambda: self._appended(pending))
            self._loop.call_later(self._seconds(), self._end, number, NotAcknowledgedError("an error"))
        else:
            is_reported = self._rng.random() >= weather.unreported
            self._kafka.append(
                pending.record, lambda: self._appended(pending, number if is_reported else None)
            )

    def _refuse(self, number: int, refused: _Pending) -> None:
        """Reject a record, and perhaps its neighbours in the same batch."""
        self._end(number, RefusedError("too large"))
        if not refused.is_alone:
            for other, pending in list(self._pending.items()):
                is_of_batch = pending.record.key == refused.record.key and not pending.is_alone
                if is_of_batch and not pending.is_appended and self._rng.random() < _REFUSED_WITH_IT:
                    self._end(other, RefusedError("one of the batch is too large"))

    def _refuses(self, record: OutgoingRecord) -> bool:
        is_quarantined = record.topic.endswith("quarantine")
        return self._kafka.refuses(record) and (not is_quarantined or self._kafka.weather.refuses_quarantine)

    def _appended(self, pending: _Pending, number: int | None = None) -> None:
        pending.is_appended = True
        if number is not None:
            # Reports come in any order.
            self._loop.call_later(self._seconds(), self._end, number, None)

    def _end(self, number: int, failure: Exception | None) -> None:
        pending = self._pending.pop(number, None)
        if pending is None or pending.future.done() or not self.is_alive:
            return
        if failure is None:
            pending.future.set_result(None)
        else:
            pending.future.set_exception(failure)
            pending.future.exception()

    def _abandon(self, failure: Exception) -> None:
        for number, pending in list(self._pending.items()):
            self._end(number, failure)
            if pending.is_sent and not self._refuses(pending.record) and self._rng.random() < 0.5:
                self._loop.call_later(self._rng.uniform(0, _LATE_SECONDS_MAX), self._arrive_late, pending)

    def _arrive_late(self, pending: _Pending) -> None:
        if not pending.is_appended:
            self._kafka.append(pending.record, lambda: self._appended(pending))


class FakeTopics:
    """`Topics` of this Kafka."""

    def __init__(self, kafka: Kafka, seconds_max: float) -> None:
        self._kafka = kafka
        self._seconds_max = seconds_max

    async def ensure(self) -> None:
        """Create missing topics. Raises: TopicsNotReadyError."""
        weather = self._kafka.weather
        await asyncio.sleep(self._seconds_max if weather.hangs or not weather.answers else weather.seconds)
        if weather.hangs or not weather.answers:
            raise TopicsNotReadyError("Kafka does not answer")
