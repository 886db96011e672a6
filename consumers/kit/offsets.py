"""Questions about partitions and offsets -> an answer for every partition, or an error.

Invariants: librdkafka answers a question about many partitions also when it has no answer for some of them;
here an error of one partition is one of the whole question. How many partitions a topic has, the cluster
says. No other module asks a consumer these questions (a test holds that). Source: librdkafka's rdkafka.h.

Every function raises: KafkaException, and but for `commit` takes `seconds_max` at most.
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
    """Return what the consumer's group has committed; None: nothing."""
    asked = [TopicPartition(*place) for place in of]
    return _found(consumer.committed(asked, timeout=seconds_max) if asked else [])


def first_at(
    consumer: Consumer, ends: Mapping[Place, int], moment_ms: int, seconds_max: float
) -> dict[Place, int]:
    """Return the first offset whose record was received at `moment_ms` or later; the end where none was.

    `ends` were read before, so that what comes from then on lies behind them.
    """
    found = _offsets(consumer, ends, max(0, moment_ms), seconds_max)
    return {place: ends[place] if offset is None else offset for place, offset in found.items()}


def since(consumer: Consumer, of: Iterable[Place], moment_ms: int, seconds_max: float) -> dict[Place, int]:
    """Return where to begin, to read all that was received at `moment_ms` or later.

    `OFFSET_END` would not do where nothing was yet: librdkafka reads the end only when it begins to read, and
    what came in between would be skipped.
    """
    return first_at(consumer, ends(consumer, of, seconds_max), moment_ms, seconds_max)


def starts(consumer: Consumer, of: Iterable[Place], seconds_max: float) -> dict[Place, int]:
    """Return the first offset that is still there."""
    return _known(_offsets(consumer, of, OFFSET_BEGINNING, seconds_max))


def ends(consumer: Consumer, of: Iterable[Place], seconds_max: float) -> dict[Place, int]:
    """Return the offset of the record to come (the high watermark)."""
    return _known(_offsets(consumer, of, OFFSET_END, seconds_max))


def commit(consumer: Consumer, found: Mapping[Place, int]) -> None:
    """Commit the next offset of each partition, and wait for the answer."""
    asked = [TopicPartition(*place, offset) for place, offset in found.items()]
    _found(consumer.commit(offsets=asked, asynchronous=False) or [])


def _offsets(
    consumer: Consumer, of: Iterable[Place], moment: int, seconds_max: float
) -> dict[Place, int | None]:
    # Kafka's protocol knows the beginning and the end as moments of their own: one request to each broker.
    asked = [TopicPartition(*place, moment) for place in of]
    return _found(consumer.offsets_for_times(asked, timeout=seconds_max) if asked else [])


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
