"""Ranges of offsets -> the records still in Kafka; and the topics' first and last offsets.

Invariants: joins no group and commits nothing: the loader's offsets are read, never moved. Offsets without a
record (transaction markers, compacted records) are skipped.
"""

import time
from bisect import bisect
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumers.kit import client, offsets
from consumers.kit.errors import TransientError
from consumers.kit.record import Place, Record
from runtime.command import CommandError
from runtime.kafka import log_ids, topics
from runtime.kafka.diagnosis import Diagnosis, read_rights
from runtime.kafka.log_ids import TopicIds
from runtime.retry import RetryPolicy, retrying

_SECONDS_MAX = 10.0
_RETRY_SECONDS_MAX = 20.0  # leaders move within this
_PAUSE_SECONDS_MAX = 2.0
_RECORDS_MAX = 1_000
_POLL_SECONDS = 0.05
# Read from all partitions in turn. Less would only cost time: Kafka is asked anew for each.
_SLICE_RECORDS = 100_000
# Reading this many records costs less than seeking again.
_NEAR = 2_000


@dataclass(frozen=True, slots=True, order=True)
class OffsetRange:
    """Offsets `start` to `end` - 1 of one partition."""

    topic: str
    partition: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PartitionOffsets:
    """The offsets of one partition."""

    log: int  # of the topic, see `runtime.kafka.log_ids`
    low: int  # the first offset still available
    high: int  # one after the last
    committed: int  # the loader's next; `low` if it has none


class KafkaUnusableError(CommandError):
    """Kafka refuses us until the operator changes something."""

    exit_status = 2


class OffsetReader:
    """Reads our topics, or others of `names`, from outside the group.

    Raises: SettingsError; every method: TransientError, KafkaUnusableError.
    """

    def __init__(self, kafka: Mapping[str, str], group: str, names: Sequence[str] = topics.ALL) -> None:
        self._kafka, self._names = kafka, names
        self._consumer = client.consumer(kafka, group, enable_partition_eof=True, fetch_wait_max_ms=20)
        self._diagnosis = Diagnosis(kafka, read_rights(names, group))

    def logs(self) -> dict[Place, PartitionOffsets]:
        """Return the offsets of every partition of the topics."""
        return _retry()(self._logs)

    def topic_ids(self) -> TopicIds:
        """Return the ids of the topics, which tell their logs; call it before records are read."""
        return _retry()(self._topic_ids)

    def received(self, start_ms: int, end_ms: int) -> list[OffsetRange]:
        """Return the ranges received from `start_ms` on and before `end_ms` (since 1970) that still exist."""
        logs = self.logs()
        starts, ends = self._offsets_at(start_ms, logs), self._offsets_at(end_ms, logs)
        return [
            OffsetRange(*place, starts[place], ends[place]) for place in logs if starts[place] < ends[place]
        ]

    def everything(self) -> list[OffsetRange]:
        """Return all offsets that still exist; none of topics that do not exist."""
        return _retry()(self._everything)

    def records(self, ranges: Iterable[OffsetRange]) -> Iterator[list[Record]]:
        """Yield the records of `ranges` in order, several at a time."""
        for near in _coalesced(sorted(ranges)):
            yield from self._read(near)

    def records_side_by_side(self, ranges: Collection[OffsetRange]) -> Iterator[list[Record]]:
        """Yield the records of `ranges`, a share of each partition in turn, several at a time.

        Partitions fill side by side, so records that follow each other here are of few days. One partition
        after the other would make ClickHouse write a part of each day for each partition.
        """
        for some in slices(ranges, _SLICE_RECORDS):
            yield from self.records(some)

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _everything(self) -> list[OffsetRange]:
        with self._as_transient():
            places = [place for name in self._names for place in self._places(name)]
            lows = offsets.starts(self._consumer, places, _SECONDS_MAX)
            highs = offsets.ends(self._consumer, places, _SECONDS_MAX)
        return [OffsetRange(*place, lows[place], highs[place]) for place in places]

    def _places(self, name: str) -> list[Place]:
        try:
            return offsets.places(self._consumer, (name,), _SECONDS_MAX)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return []
            raise

    def _topic_ids(self) -> TopicIds:
        with self._as_transient():
            return log_ids.read(self._kafka, self._names, _SECONDS_MAX)

    def _logs(self) -> dict[Place, PartitionOffsets]:
        logs = self._topic_ids().logs
        with self._as_transient():
            places = offsets.places(self._consumer, self._names, _SECONDS_MAX)
            # In this order, so that committed offsets are within the ends.
            committed = offsets.committed(self._consumer, places, _SECONDS_MAX)
            lows = offsets.starts(self._consumer, places, _SECONDS_MAX)
            highs = offsets.ends(self._consumer, places, _SECONDS_MAX)
        return {
            place: PartitionOffsets(
                logs[place[0]], lows[place], highs[place], lows[place] if offset is None else offset
            )
            for place, offset in committed.items()
        }

    def _offsets_at(self, moment_ms: int, logs: Mapping[Place, PartitionOffsets]) -> dict[Place, int]:
        return _retry()(self._first_at, moment_ms, {place: log.high for place, log in logs.items()})

    def _first_at(self, moment_ms: int, ends: Mapping[Place, int]) -> dict[Place, int]:
        with self._as_transient():
            return offsets.first_at(self._consumer, ends, moment_ms, _SECONDS_MAX)

    def _read(self, near: Sequence[OffsetRange]) -> Iterator[list[Record]]:
        first, end, starts = near[0], near[-1].end, [part.start for part in near]
        self._consumer.assign([TopicPartition(first.topic, first.partition, first.start)])
        next_offset, deadline = first.start, time.monotonic() + _SECONDS_MAX
        while next_offset < end:
            messages = self._consumer.consume(_RECORDS_MAX, _POLL_SECONDS)
            if messages:
                deadline = time.monotonic() + _SECONDS_MAX
            elif time.monotonic() > deadline:
                raise TransientError(
                    f"Kafka: no records of {first.topic}/{first.partition} for {_SECONDS_MAX} s"
                )
            records = []
            for message in messages:
                error = message.error()
                if error is None:
                    records += cast("list[Record]", client.readable([message]))
                    next_offset = (message.offset() or 0) + 1
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - has no public name
                    next_offset = end
                else:
                    raise self._explained(error)
            # Nothing comes from before the first range; thousands of ranges may be near each other.
            yield [r for r in records if (r.offset() or 0) < near[bisect(starts, r.offset() or 0) - 1].end]
        self._consumer.unassign()

    @contextmanager
    def _as_transient(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise self._explained(error.args[0]) from error

    def _explained(self, error: KafkaError) -> Exception:
        """Return what to raise: only what may pass is worth a retry."""
        problem = self._diagnosis.explain(error)
        if problem is None:
            return TransientError(f"Kafka: {error.str()}")
        return TransientError(problem.text) if problem.may_pass else KafkaUnusableError(problem.text)


def slices(ranges: Collection[OffsetRange], records_max: int) -> list[list[OffsetRange]]:
    """Divide ranges into slices of about `records_max` records, with the same share of each partition."""
    counts: Counter[Place] = Counter()
    for one in ranges:
        counts[one.topic, one.partition] += one.end - one.start
    found: list[list[OffsetRange]] = [[] for _ in range(-(-counts.total() // records_max))]
    done: Counter[Place] = Counter()
    for one in sorted(ranges):
        place, start = (one.topic, one.partition), one.start
        while start < one.end:
            number = done[place] * len(found) // counts[place]
            slice_end = -(-counts[place] * (number + 1) // len(found))
            end = min(one.end, start + slice_end - done[place])
            found[number].append(OffsetRange(*place, start, end))
            done[place] += end - start
            start = end
    return found


def _retry() -> RetryPolicy:
    return retrying(TransientError, _PAUSE_SECONDS_MAX, seconds_max=_RETRY_SECONDS_MAX)


def _coalesced(ranges: Sequence[OffsetRange]) -> Iterator[list[OffsetRange]]:
    """Group neighbouring ranges, to be read in one go."""
    near: list[OffsetRange] = []
    for one in ranges:
        place = (one.topic, one.partition)
        if near and ((near[-1].topic, near[-1].partition) != place or one.start - near[-1].end > _NEAR):
            yield near
            near = []
        near.append(one)
    if near:
        yield near
