"""Kafka and, if requested, ingest, once a second -> our topics' current ends, and delivery snapshots.

Invariants: data is either a few seconds old or unknown, because a client's own view of a topic's end freezes
when the broker does. It queries ingest before Kafka, so delivered events lie before the ends. It uses its own
thread and client, so that event handling never waits for the network here.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaException

from consumers.kit import client, ingest_state, offsets
from consumers.kit.ingest_state import IngestAwayError
from consumers.kit.received_until import DeliverySnapshot
from consumers.kit.record import Place
from runtime.kafka.diagnosis import Diagnosis, read_rights

_log = logging.getLogger(__name__)

_ASK_SECONDS = 1.0
_REQUEST_SECONDS_MAX = 2.0
_FRESH_SECONDS_MAX = 5.0
_SNAPSHOTS_MAX = 100  # unused snapshots


class TopicEnds:
    """Runs one thread; call the other methods from one thread. Raises: SettingsError."""

    def __init__(self, kafka: Mapping[str, str], group: str, topics: Sequence[str]) -> None:
        self._topics = topics
        self._urls: Sequence[str] | None = None  # None: ingest is not queried
        self._known: tuple[float, dict[Place, int]] = (float("-inf"), {})  # time of the query, and ends
        self._snapshots: deque[DeliverySnapshot] = deque(maxlen=_SNAPSHOTS_MAX)
        self._said = ""
        self.problem = ""  # why Kafka cannot be used; empty: it can, or the reason is unknown
        self._diagnosis = Diagnosis(kafka, read_rights(topics, group))
        self._failure: Exception | None = None
        self._stopping = threading.Event()
        consumer = client.consumer({**kafka, "log_level": "0"}, group)
        self._thread = threading.Thread(target=self._run, args=(consumer,), name="topic-ends", daemon=True)
        self._thread.start()

    def now(self) -> Mapping[Place, int]:
        """Return the recent end of each partition; empty if unknown."""
        self._check()
        asked_at, ends = self._known
        return ends if time.monotonic() - asked_at < _FRESH_SECONDS_MAX else {}

    def snapshots(self, urls: Sequence[str]) -> list[DeliverySnapshot]:
        """Return the snapshots since the last call; `urls`: ingest's admin ports, if any."""
        self._check()
        self._urls = urls
        return [self._snapshots.popleft() for _ in range(len(self._snapshots))]

    def close(self) -> None:
        """Stop the thread, without waiting for a pending request."""
        self._stopping.set()

    def _check(self) -> None:
        if self._failure:
            raise RuntimeError("topic-ends has ended") from self._failure

    def _run(self, consumer: Consumer) -> None:
        try:
            while not self._stopping.is_set():
                self._ask(consumer)
                self._stopping.wait(_ASK_SECONDS)
            consumer.close()
        except Exception as error:
            self._failure = error  # for callers; an unexpected exception ends the process
            raise

    def _ask(self, consumer: Consumer) -> None:
        asked_at, why, problem, until_ms = time.monotonic(), "", "", None
        try:
            until_ms = self._delivered_ms()
        except IngestAwayError as error:
            why = f"ingest {error}"
        try:
            places = offsets.places(consumer, self._topics, _REQUEST_SECONDS_MAX)
            ends = offsets.ends(consumer, places, _REQUEST_SECONDS_MAX)
        except KafkaException as error:
            why = f"Kafka: {error.args[0].str()}"
            problem = self._diagnosis.sentence(error.args[0])
        else:
            self._known = asked_at, ends
            if until_ms is not None:
                self._snapshots.append(DeliverySnapshot(until_ms, ends))
        if self._stopping.is_set():
            return  # nobody waits for this answer any more
        self._note(problem)
        self._say(why if self._urls is not None else "")

    def _delivered_ms(self) -> int | None:
        """Return the moment until which ingest has delivered; None: unknown. Raises: IngestAwayError."""
        if self._urls is None:
            return None
        now_ms = time.time_ns() // 1_000_000
        found = [one.delivered_until_ms for one in ingest_state.ask(self._urls)]
        if None in found:
            raise IngestAwayError("cannot read its spool")
        return min((until_ms for until_ms in found if until_ms is not None), default=now_ms)

    def _note(self, problem: str) -> None:
        """Log each reason why Kafka cannot be used once."""
        if problem and problem != self.problem:
            _log.error("kafka_unusable", extra={"problem": problem})
        self.problem = problem

    def _say(self, why: str) -> None:
        """Log each reason that stops the moment once, and its end once."""
        if why and why != self._said:
            _log.warning("read_until_stands", extra={"why": why})
        elif self._said and not why:
            _log.info("read_until_goes_on")
        self._said = why
