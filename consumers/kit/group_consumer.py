"""One member of a consumer group: Kafka -> records, and committed offsets back to Kafka.

Invariants: commits only what `commit` was given, and only for partitions that are ours; a failed commit is
retried with the next poll. No record is returned from a revoked partition. The offsets of `since` are
committed before the first record is returned, so the next member starts there too. `logs` are those of the
records returned: they are read before a partition is fetched. Start offsets are fetched here, because
librdkafka asks only once, and a partition whose coordinator has just moved would stall forever (its issue
5586).
Source: librdkafka's CONFIGURATION.md.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from consumers.kit import client, offsets
from consumers.kit.errors import TopicReplacedError
from consumers.kit.record import Place, Record
from consumers.kit.topic_ends import TopicEnds
from runtime.kafka import log_ids, topics
from runtime.kafka.diagnosis import Diagnosis, read_rights
from runtime.retry import retrying

_log = logging.getLogger(__name__)

_RECORDS_MAX = 5_000
# For requests to a broker that has just answered; after this the process exits and restarts.
_START_SECONDS_MAX = 20.0
_REQUEST_SECONDS_MAX = 5.0
_RETRY_SECONDS_MAX = 2.0
_DEFAULTS = {
    # Wait for more records instead of fetching one by one: saves half of the loader's CPU and a seventh of
    # the broker's at 1,000 events/s (10 -> 5% and 49 -> 42% of a core). While nothing arrives, a request
    # every 50 ms would cost another 1% of a core.
    "fetch.min.bytes": 65_536,
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 50,
    # A silent connection is dropped after this, not after a minute.
    "socket.timeout.ms": 10_000,
    # librdkafka's buffer, on top of our batches: four times as much gained no speed and cost 150 MB.
    "queued.max.messages.kbytes": 8_192,
    "fetch.max.bytes": 4_194_304,
    # Topics that ingest is about to create are found within this.
    "topic.metadata.refresh.interval.ms": 1_000,
    # A killed loader is replaced after this (default 45 s); the minimum that brokers allow. librdkafka's own
    # thread sends heartbeats, so a slow insert cannot delay them.
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_500,
}


@dataclass(frozen=True, slots=True)
class Membership:
    """The group to join, and where to start."""

    group: str
    topics: tuple[str, ...] = topics.ALL
    since_ms: int | None = None  # start time for partitions without a committed offset


class GroupConsumer:
    """One member of the consumer group. Call every method from one thread.

    Raises: SettingsError; `poll`: TopicReplacedError.
    """

    def __init__(
        self,
        kafka: Mapping[str, str],
        membership: Membership,
        on_revoked: Callable[[Sequence[Place]], None],
        on_commit_failed: Callable[[], object],
    ) -> None:
        self._on_commit_failed = on_commit_failed
        self._starts: dict[Place, int] = {}  # committed offset at the time of assignment
        self._uncommitted: dict[Place, int] = {}
        self._committing: dict[Place, int] = {}
        self._on_revoked = on_revoked
        self._since_ms = membership.since_ms
        self._gone: set[Place] = set()  # since the last record arrived
        self._bytes_per_record = 1_000.0
        self._paused = False
        self._diagnosis = Diagnosis(kafka, read_rights(membership.topics, membership.group))
        self._denial = ""  # the last one; stays until records arrive
        self.joined = False  # whether the group has assigned partitions, even if none
        self.owned: set[Place] = set()
        self.logs: dict[str, int] = {}  # the log of each topic, see `runtime.kafka.log_ids`
        self._kafka = kafka
        self._consumer = client.consumer(
            {**_DEFAULTS, **kafka},
            membership.group,
            partition_assignment_strategy="cooperative-sticky",
            on_commit=self._committed,
        )
        self._consumer.subscribe(
            list(membership.topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        self.ends = TopicEnds(kafka, membership.group, membership.topics)

    def poll(self, seconds_max: float, records_max: int, bytes_max: int) -> list[Record]:
        """Return records that arrive within `seconds_max`: about `bytes_max`, and at least one."""
        self._commit_rest()
        count = max(1, min(_RECORDS_MAX, records_max, int(bytes_max / self._bytes_per_record)))
        found = self._fetch(seconds_max, count)
        records = client.readable(record for record in found if record.error() is None)
        for error in filter(None, (record.error() for record in found)):
            self._note(error)
        if records:
            self._denial = ""
            size = sum(len(record) for record in records) / len(records)
            self._bytes_per_record = max(size, 100.0)
        return cast("list[Record]", records)

    @property
    def problem(self) -> str:
        """Why Kafka cannot be used; empty: it can, or the reason is unknown."""
        return self.ends.problem or self._denial

    def _note(self, error: KafkaError) -> None:
        """Log an error; a denial, which comes again and again, only once."""
        denial = self._diagnosis.denial(error)
        if not denial:
            _log.warning("kafka_error", extra={"code": error.name(), "error": error.str()})
        elif denial != self._denial:
            self._denial = denial
            _log.error("kafka_unusable", extra={"problem": denial})

    def _fetch(self, seconds_max: float, count: int) -> list[Message]:
        """Wait for one record, then take those already fetched: the queue's limit bounds these, too."""
        first = self._consumer.consume(1, seconds_max)
        if not first or count == 1:
            return first
        self._gone.clear()
        rest = self._consumer.consume(count - 1, 0)
        # The first one's partition may have been revoked meanwhile, and even be back.
        return [one for one in first if (one.topic(), one.partition()) not in self._gone] + rest

    def pause(self) -> None:
        """Stop fetching until `resume`. Repeat the call, because partitions may be assigned meanwhile."""
        self._paused = True
        self._consumer.pause(self._consumer.assignment())

    def resume(self) -> None:
        """Continue fetching."""
        if self._paused:
            self._paused = False
            self._consumer.resume(self._consumer.assignment())

    def commit(self, due: Mapping[Place, int]) -> None:
        """Commit these offsets now, or with a later poll."""
        self._uncommitted |= {place: offset for place, offset in due.items() if place in self.owned}
        self._commit_rest()

    def positions(self) -> dict[Place, int]:
        """Return the next offset to poll of each of our partitions; empty until all are known."""
        positions = {}
        for place in self._consumer.position([TopicPartition(*place) for place in self.owned]):
            low, _ = self._consumer.get_watermark_offsets(place, cached=True)
            start = max(low, self._starts.get((place.topic, place.partition), low))
            positions[place.topic, place.partition] = (
                start if place.offset == OFFSET_INVALID else place.offset
            )
        return positions if all(offset >= 0 for offset in positions.values()) else {}

    def lags(self) -> dict[Place, int]:
        """Return the number of unpolled records of each partition whose end Kafka has reported recently."""
        ends = self.ends.now()
        return {
            place: max(0, ends[place] - offset) for place, offset in self.positions().items() if place in ends
        }

    def close(self, seconds_max: float) -> None:
        """Commit all pending offsets, wait for that, and leave the group."""
        self.ends.close()
        # A hanging broker must not block us: then the last offsets stay uncommitted, and are read again.
        closing = threading.Thread(target=self._close, name="close", daemon=True)
        closing.start()
        closing.join(seconds_max)

    def _close(self) -> None:
        self._commit_now(self._committing | self._uncommitted)
        self._consumer.close()

    def _commit_rest(self) -> None:
        if self._uncommitted and not self._committing:
            self._committing, self._uncommitted = self._uncommitted, {}
            try:
                self._consumer.commit(offsets=_positions(self._committing), asynchronous=True)
            except KafkaException as error:
                self._again(error.args[0])

    def _committed(self, error: KafkaError | None, places: Sequence[TopicPartition]) -> None:
        failures = [error] if error else [place.error for place in places if place.error]
        if failures:
            self._again(failures[0])
        self._committing = {}

    def _again(self, error: KafkaError) -> None:
        self._on_commit_failed()
        _log.warning("commit_failed", extra={"code": error.name(), "error": error.str()})
        rest = {place: offset for place, offset in self._committing.items() if place in self.owned}
        self._uncommitted = rest | self._uncommitted
        self._committing = {}

    def _commit_now(self, due: Mapping[Place, int]) -> None:
        if not due:
            return
        try:
            offsets.commit(self._consumer, due)
        except KafkaException as error:
            _log.warning("commit_failed", extra={"code": error.args[0].name(), "error": error.args[0].str()})

    def _assigned(self, consumer: Consumer, places: Sequence[TopicPartition]) -> None:
        self.joined = True
        retry = retrying(KafkaException, _RETRY_SECONDS_MAX, seconds_max=_START_SECONDS_MAX)
        starts = retry(self._starting, _places(places))
        logs = retry(self._logs_of, {place.topic for place in places})
        if replaced := sorted(name for name, log in logs.items() if self.logs.get(name, log) != log):
            names = ", ".join(replaced)
            raise TopicReplacedError(f"{names}: created again, or Kafka was replaced; start anew to read it")
        self.logs |= logs
        consumer.incremental_assign(_positions(starts))
        self._starts |= starts
        self.owned |= starts.keys()
        extra = {"partitions": _names(places), "owned": len(self.owned), "logs": self.logs}
        _log.info("partitions_assigned", extra=extra)

    def _logs_of(self, names: set[str]) -> dict[str, int]:
        return log_ids.read(self._kafka, names, _REQUEST_SECONDS_MAX).logs if names else {}

    def _starting(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the start offset of each partition. Raises: KafkaException."""
        committed = offsets.committed(self._consumer, sorted(places), _REQUEST_SECONDS_MAX)
        new = [place for place, offset in committed.items() if offset is None]
        begun = dict.fromkeys(new, OFFSET_BEGINNING)
        if self._since_ms is not None and new:
            begun = self._begin(new, self._since_ms)
        return {place: begun[place] if offset is None else offset for place, offset in committed.items()}

    def _begin(self, new: Sequence[Place], since_ms: int) -> dict[Place, int]:
        """Commit the offsets of `since` and return them. Raises: KafkaException."""
        begun = offsets.since(self._consumer, new, since_ms, _REQUEST_SECONDS_MAX)
        offsets.commit(self._consumer, begun)
        return begun

    def _revoked(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        gone = _places(places)
        self._on_revoked(sorted(gone))
        self._commit_now({k: v for k, v in (self._committing | self._uncommitted).items() if k in gone})
        self._disown(gone)
        _log.info("partitions_revoked", extra={"partitions": _names(places), "owned": len(self.owned)})

    def _lost(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        gone = _places(places)
        self._disown(gone)  # first of all: another member has them already
        self._on_revoked(sorted(gone))
        _log.warning("partitions_lost", extra={"partitions": _names(places), "owned": len(self.owned)})

    def _disown(self, gone: Iterable[Place]) -> None:
        for place in gone:
            self.owned.discard(place)
            self._gone.add(place)
            self._starts.pop(place, None)
            self._uncommitted.pop(place, None)
            self._committing.pop(place, None)


def _positions(found: Mapping[Place, int]) -> list[TopicPartition]:
    return [TopicPartition(*place, offset) for place, offset in found.items()]


def _places(places: Sequence[TopicPartition]) -> set[Place]:
    return {(place.topic, place.partition) for place in places}


def _names(places: Sequence[TopicPartition]) -> list[str]:
    return [f"{place.topic}/{place.partition}" for place in places]
