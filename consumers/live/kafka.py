"""Kafka's offsets and the loader's -> how far the loader is behind, and since when.

Invariants: the one module of the live page that knows confluent_kafka; it commits nothing and joins no
group. Freshness is read from the oldest waiting record itself (its time is received_at), so that it is
right also when the loader is dead.
"""

import logging
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from consumers.live.feed import Away
from consumers.live.state import Log, Partition
from schemas import topics

_log = logging.getLogger(__name__)

_REQUEST_SECONDS_MAX = 2.0
_PEEK_SECONDS_MAX = 1.0
# librdkafka asks the broker for this much of a partition when one record is wanted; a larger record still
# comes whole.
_PEEK_BYTES = 16_384
_NO_OFFSET = 0  # librdkafka's special offsets are negative
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]

_SILENCE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 - the public name of librdkafka's own errors
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
    }
)

_Place = tuple[str, int]


class Kafka:
    """Looks at the topics. Not thread-safe: one look at a time."""

    def __init__(self, properties: Mapping[str, str], group: str) -> None:
        self._group = group
        common: dict[str, Any] = {"reconnect.backoff.max.ms": 1_000, **properties, "log_level": 0}
        self._admin = AdminClient(common, logger=_log)
        self._consumer = Consumer(
            {
                **common,
                "group.id": "tapline.live",  # librdkafka wants a name; nothing is ever asked of this group
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "fetch.message.max.bytes": _PEEK_BYTES,
                "queued.min.messages": 1,
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 10,  # else a full queue of one record stops fetching for a second
            },
            logger=_log,
        )
        self._times: dict[_Place, tuple[int, int]] = {}  # first waiting record of a partition: offset, time

    def look(self, now_ms: int) -> Log:
        """Return where the loader is. Raises: Away."""
        try:
            partitions = self._partitions()
            return Log(
                partitions=partitions,
                loaders=self._loaders(),
                oldest_waiting_ms=self._oldest_ms([p for p in partitions if p.lag]),
                as_of_ms=now_ms,
            )
        except KafkaException as error:
            raise _away(error) from error

    def close(self) -> None:
        """End the connections."""
        self._consumer.close()

    def _partitions(self) -> tuple[Partition, ...]:
        places = [
            TopicPartition(topic, p) for topic, count in topics.PARTITIONS.items() for p in range(count)
        ]
        ends = self._offsets(places, _LATEST)
        places = [place for place in places if _key(place) in ends]
        committed = self._committed(places)
        uncommitted = [place for place in places if committed.get(_key(place), -1) < _NO_OFFSET]
        starts = self._offsets(uncommitted, _EARLIEST)
        return tuple(
            Partition(*key, starts.get(key, committed.get(key, 0)), ends[key]) for key in map(_key, places)
        )

    def _offsets(self, places: Sequence[TopicPartition], spec: OffsetSpec) -> dict[_Place, int]:
        if not places:
            return {}
        futures = self._admin.list_offsets(dict.fromkeys(places, spec), request_timeout=_REQUEST_SECONDS_MAX)
        offsets = {}
        for place, future in futures.items():
            try:
                offsets[_key(place)] = future.result().offset
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
        return offsets

    def _committed(self, places: list[TopicPartition]) -> dict[_Place, int]:
        if not places:
            return {}
        asked = ConsumerGroupTopicPartitions(self._group, places)
        futures = self._admin.list_consumer_group_offsets([asked], request_timeout=_REQUEST_SECONDS_MAX)
        found = futures[self._group].result().topic_partitions or []
        return {_key(place): place.offset for place in found}

    def _loaders(self) -> int:
        futures = self._admin.describe_consumer_groups([self._group], request_timeout=_REQUEST_SECONDS_MAX)
        try:
            return len(futures[self._group].result().members)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise

    def _oldest_ms(self, waiting: Sequence[Partition]) -> int | None:
        """Return the time of the oldest record that waits; None: none does, or it could not be read now."""
        wanted = {(p.topic, p.partition): p.next_offset for p in waiting}
        moved = [place for place, offset in wanted.items() if self._times.get(place, (-1, 0))[0] != offset]
        if moved:
            self._peek({place: wanted[place] for place in moved})
        times = [self._times[place][1] for place in wanted if place in self._times]
        return min(times) if times and len(times) == len(wanted) else None

    def _peek(self, wanted: Mapping[_Place, int]) -> None:
        for place in wanted:
            self._times.pop(place, None)
        missing = set(wanted)
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in wanted.items()])
        deadline = monotonic() + _PEEK_SECONDS_MAX
        while missing and monotonic() < deadline:
            record = self._consumer.poll(0.1)
            if record is None or record.error() is not None:
                continue
            place = str(record.topic()), record.partition() or 0
            if place in missing:
                missing.discard(place)
                self._times[place] = wanted[place], record.timestamp()[1]
        self._consumer.unassign()


def _key(place: TopicPartition) -> _Place:
    return place.topic, place.partition


def _away(error: KafkaException) -> Away:
    fault = error.args[0]
    return Away("does not answer" if fault.code() in _SILENCE else f"is not ready: {fault.str()}")
