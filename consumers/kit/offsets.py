"""Queries of partitions and offsets -> an answer for every partition, or an error.

Invariants: librdkafka answers a query of several partitions even if some fail; here an error of one partition
fails the whole query. Only the cluster knows the number of partitions. No other module sends these queries (a
test checks that). Source: librdkafka's rdkafka.h.

Every function raises: KafkaException. All but `commit` take at most `seconds_max`.
"""

from collections.abc import Iterable, Mapping, Sequence

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from consumers.kit.record import Place


def places(consumer: Consumer, topics: Iterable[str], seconds_max: float) -> list[Place]:
    """Return every partition of `topics`."""
    found: list[Place] = []
    for name in topics:
        topic = consumer.list_topics(name, timeout=seconds_max).topics[name]
        if topic.error is not None:
            raise KafkaException(topic.error)
        found += [(name, partition) for partition in sorted(topic.partitions)]
    return found


def committed(consumer: Consumer, of: Iterable[Place], seconds_max: float) -> dict[Place, int | None]:
    """Return the group's committed offset of each partition, or None."""
    partitions = [TopicPartition(*place) for place in of]
    return _found(consumer.committed(partitions, timeout=seconds_max) if partitions else [])


def first_at(
    consumer: Consumer, ends: Mapping[Place, int], moment_ms: int, seconds_max: float
) -> dict[Place, int]:
    """Return the first offset received at `moment_ms` or later; the end if there is none.

    `ends` were read before, so records received later are behind them.
    """
    found = _offsets(consumer, ends, max(0, moment_ms), seconds_max)
    return {place: ends[place] if offset is None else offset for place, offset in found.items()}


def since(consumer: Consumer, of: Iterable[Place], moment_ms: int, seconds_max: float) -> dict[Place, int]:
    """Return the offsets from which all records received at `moment_ms` or later are read.

    `OFFSET_END` would not do for an empty partition: librdkafka resolves it only when it starts reading, and
    would skip records that arrive in between.
    """
    return first_at(consumer, ends(consumer, of, seconds_max), moment_ms, seconds_max)


def starts(consumer: Consumer, of: Iterable[Place], seconds_max: float) -> dict[Place, int]:
    """Return the first offset still available."""
    return _known(_offsets(consumer, of, OFFSET_BEGINNING, seconds_max))


def ends(consumer: Consumer, of: Iterable[Place], seconds_max: float) -> dict[Place, int]:
    """Return the next offset to be written (the high watermark)."""
    return _known(_offsets(consumer, of, OFFSET_END, seconds_max))


def commit(consumer: Consumer, found: Mapping[Place, int]) -> None:
    """Commit the next offset of each partition and wait for the answer."""
    partitions = [TopicPartition(*place, offset) for place, offset in found.items()]
    _found(consumer.commit(offsets=partitions, asynchronous=False) or [])


def _offsets(
    consumer: Consumer, of: Iterable[Place], moment: int, seconds_max: float
) -> dict[Place, int | None]:
    # In Kafka's protocol the beginning and the end are special moments: one request to each broker.
    partitions = [TopicPartition(*place, moment) for place in of]
    return _found(consumer.offsets_for_times(partitions, timeout=seconds_max) if partitions else [])


def _found(answers: Sequence[TopicPartition]) -> dict[Place, int | None]:
    for answer in answers:
        if answer.error is not None:
            raise KafkaException(answer.error)
    return {(one.topic, one.partition): one.offset if one.offset >= 0 else None for one in answers}


def _known(found: Mapping[Place, int | None]) -> dict[Place, int]:
    known = {place: offset for place, offset in found.items() if offset is not None}
    if len(known) < len(found):
        raise KafkaException(KafkaError(KafkaError._NO_OFFSET))  # noqa: SLF001 - the name of librdkafka's own
    return known
