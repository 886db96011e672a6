"""Offsets of Kafka and of the loader -> the loader's lag, its age, and the newest records.

Invariants: the only module of the live page that uses confluent_kafka; it commits nothing and joins no group.
Freshness is read from the oldest waiting record (its timestamp is received_at), so it stays correct while the
loader is down. Each poll reads only a few records per partition.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from consumers.kit import client, offsets
from consumers.kit.record import Place
from consumers.live.answers import KafkaStatus, Mark, PartitionPosition, Today
from consumers.live.balance import midnight_ms, settled_ms
from consumers.live.newest import Arrival, Newest
from consumers.live.poller import SourceAwayError
from runtime.kafka import client_log, topic_reader, topics
from runtime.kafka.diagnosis import Diagnosis

if TYPE_CHECKING:
    from runtime.kafka.record_headers import Headers

_log = logging.getLogger(__name__)

_REQUEST_SECONDS_MAX = 2.0
_PEEK_SECONDS_MAX = 1.0
# librdkafka fetches this much of a partition to read one record; a larger record still arrives whole.
_PEEK_BYTES = 16_384
_NEWEST_MAX = 10  # records read per partition in one poll
_MARKS_MAX = 60  # two minutes: ClickHouse counts up to one of them within seconds

_SILENCE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - the public name of librdkafka's own errors
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
    }
)


# The client has outdated leaders; querying the partitions updates them.
_STALE = frozenset(
    {
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    }
)


def _rights(group: str) -> str:
    return f"Read on the topics {' and '.join(topics.ALL)}, and Describe on the group {group}"


class KafkaSource:
    """Polls the topics. Not thread-safe: one call at a time."""

    def __init__(
        self,
        properties: Mapping[str, str],
        group: str,
        newest: Newest,
    ) -> None:
        self._group = group
        self._newest = newest
        common: dict[str, Any] = {"reconnect.backoff.max.ms": 1_000, **properties, "log_level": 0}
        self._admin_properties = common
        self._admin = AdminClient(common, logger=client_log.LOG)
        self._diagnosis = Diagnosis(properties, _rights(group))
        self._consumer = client.consumer(
            common,
            group,
            fetch_message_max_bytes=_PEEK_BYTES,
            queued_min_messages=1,
            fetch_wait_max_ms=50,
            fetch_queue_backoff_ms=10,  # otherwise a queue full with one record stops fetching for a second
        )
        self._times: dict[Place, tuple[int, int]] = {}  # first waiting record of a partition: offset, time
        self._seen: dict[Place, int] = {}  # end offset of each events partition at its last read
        self._day_ms = -1
        self._starts: dict[Place, int] = {}  # first offsets of the day
        self._marks: dict[int, Mark] = {}

    def poll(self, now_ms: int) -> KafkaStatus:
        """Return the state of the topics and the loader. Raises: SourceAwayError."""
        try:
            partitions = self._partitions_of_now()
            events = [p for p in partitions if p.topic == topics.EVENTS]
            return KafkaStatus(
                partitions=partitions,
                loaders=self._loaders(),
                oldest_waiting_ms=self._oldest_ms([p for p in partitions if p.lag]),
                as_of_ms=now_ms,
                today=self._today(now_ms, events),
                newest=self._newest.read(self._arrivals(events)),
            )
        except KafkaException as error:
            raise self._away(error.args[0]) from error

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()

    def _away(self, fault: KafkaError) -> SourceAwayError:
        silence = "does not answer" if fault.code() in _SILENCE else f"is not ready: {fault.str()}"
        return SourceAwayError(self._diagnosis.sentence(fault) or silence)

    def _partitions_of_now(self) -> tuple[PartitionPosition, ...]:
        try:
            return self._partitions()
        except KafkaException as error:
            if error.args[0].code() not in _STALE:
                raise
        return self._partitions()

    def _partitions(self) -> tuple[PartitionPosition, ...]:
        places = offsets.places(self._consumer, topics.ALL, _REQUEST_SECONDS_MAX)
        # With a consumer: the admin client crashes with a segmentation fault on "not coordinator" (librdkafka
        # issue 5040).
        committed = offsets.committed(self._consumer, places, _REQUEST_SECONDS_MAX)
        starts = offsets.starts(self._consumer, places, _REQUEST_SECONDS_MAX)
        ends = offsets.ends(self._consumer, places, _REQUEST_SECONDS_MAX)
        return tuple(
            PartitionPosition(*place, starts[place] if offset is None else offset, ends[place], starts[place])
            for place, offset in committed.items()
        )

    def _loaders(self) -> int:
        futures = self._admin.describe_consumer_groups([self._group], request_timeout=_REQUEST_SECONDS_MAX)
        try:
            return len(topic_reader.answer(futures[self._group], _REQUEST_SECONDS_MAX).members)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            # A client that outlived a broker may never get an answer again.
            self._admin = AdminClient(self._admin_properties, logger=client_log.LOG)
            raise

    def _oldest_ms(self, waiting: Sequence[PartitionPosition]) -> int | None:
        """Return the time of the oldest waiting record; None: none waits, or it could not be read."""
        wanted = {(p.topic, p.partition): p.next_offset for p in waiting}
        moved = [place for place, offset in wanted.items() if self._times.get(place, (-1, 0))[0] != offset]
        if moved:
            self._peek({place: wanted[place] for place in moved})
        times = [self._times[place][1] for place in wanted if place in self._times]
        return min(times) if times and len(times) == len(wanted) else None

    def _peek(self, wanted: Mapping[Place, int]) -> None:
        for place in wanted:
            self._times.pop(place, None)
        for place, record in self._records({place: (offset, offset + 1) for place, offset in wanted.items()}):
            self._times.setdefault(place, (wanted[place], record.timestamp()[1]))

    def _arrivals(self, partitions: Sequence[PartitionPosition]) -> list[Arrival]:
        """Return the newest records of each partition that were not returned before."""
        ranges = {}
        for p in partitions:
            seen = self._seen.get((p.topic, p.partition), 0)
            start = max(seen if seen <= p.end_offset else 0, p.end_offset - _NEWEST_MAX)
            if start < p.end_offset:
                ranges[p.topic, p.partition] = start, p.end_offset
        found: list[Arrival] = []
        for place, record in self._records(ranges):
            offset, value = record.offset() or 0, record.value()
            self._seen[place] = offset + 1
            headers = cast("Headers | None", record.headers())
            if isinstance(value, bytes):
                found.append(((place[1], offset), record.timestamp()[1], value, headers))
        return found

    def _records(self, ranges: Mapping[Place, tuple[int, int]]) -> Iterator[tuple[Place, Message]]:
        """Yield the records at offsets start to end - 1 of each place that arrive in time."""
        if not ranges:
            return
        missing = set(ranges)
        self._consumer.assign([TopicPartition(*place, start) for place, (start, _) in ranges.items()])
        deadline = monotonic() + _PEEK_SECONDS_MAX
        while missing and monotonic() < deadline:
            record = self._consumer.poll(0.1)
            if record is None or record.error() is not None:
                continue
            place, offset = (str(record.topic()), record.partition() or 0), record.offset() or 0
            if offset + 1 >= ranges[place][1]:
                missing.discard(place)
            # The first record may lie behind the end: earlier offsets may have no record.
            yield place, client.readable([record])[0]
        self._consumer.unassign()

    def _today(self, now_ms: int, partitions: Sequence[PartitionPosition]) -> Today | None:
        ends = {(p.topic, p.partition): p.end_offset for p in partitions}
        if not ends:
            return None
        day_ms, at_ms = midnight_ms(now_ms), settled_ms(now_ms)
        if day_ms != self._day_ms or any(end < self._starts.get(place, 0) for place, end in ends.items()):
            self._marks, self._starts, self._day_ms = {}, self._offsets_at(day_ms, ends), day_ms
        if at_ms not in self._marks:
            offsets = self._offsets_at(at_ms, ends)
            waiting = sum(max(0, offsets[p.topic, p.partition] - p.next_offset) for p in partitions)
            self._marks[at_ms] = Mark(at_ms, self._since_midnight(offsets), waiting)
            self._marks = dict(list(self._marks.items())[-_MARKS_MAX:])
        return Today(day_ms, self._since_midnight(ends), tuple(self._marks.values()))

    def _since_midnight(self, offsets: Mapping[Place, int]) -> int:
        return sum(max(0, offset - self._starts.get(place, 0)) for place, offset in offsets.items())

    def _offsets_at(self, moment_ms: int, ends: Mapping[Place, int]) -> dict[Place, int]:
        return offsets.first_at(self._consumer, ends, moment_ms, _REQUEST_SECONDS_MAX)
