"""The tombstones of one Kafka -> another one, which is about to replace it.

Invariants: keys and values are copied as they are, so the same key file reads them. Writing them twice
changes nothing: the topic is compacted, and of one id the latest moment counts.
"""

from collections.abc import Iterator, Mapping

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from consumers.kit import client, offsets
from consumers.kit.errors import TransientError
from consumers.warehouse.privacy import tombstone_writer
from runtime.kafka import topics

_SECONDS_MAX = 10.0
_MESSAGES_MAX = 1_000


def carry(source: Mapping[str, str], kafka: Mapping[str, str], group: str) -> int:
    """Copy tombstones, and return their number. Raises: TransientError, ErasureError."""
    tombstone_writer.ensure_topic(kafka)
    try:
        found = [(message.key() or b"", message.value() or b"") for message in _messages(source, group)]
    except KafkaException as error:
        raise TransientError(f"Kafka: {topics.ERASURES}: {error.args[0].str()}") from error
    tombstone_writer.write_stored(kafka, found)
    return len(found)


def _messages(kafka: Mapping[str, str], group: str) -> Iterator[Message]:
    """Yield every record of the topic; none, if there is no topic. Raises: KafkaException."""
    consumer = client.consumer(kafka, group, enable_partition_eof=True)
    try:
        places = offsets.places(consumer, (topics.ERASURES,), _SECONDS_MAX)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return
        raise
    consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
    unread = len(places)
    while unread:
        messages = consumer.consume(_MESSAGES_MAX, _SECONDS_MAX)
        if not messages:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - has no public name
        for message in messages:
            failed = message.error()
            if failed is None:
                yield message
            elif failed.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - has no public name
                unread -= 1
            else:
                raise KafkaException(failed)
    consumer.close()
