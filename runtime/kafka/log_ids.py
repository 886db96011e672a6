"""Topics on a cluster -> numbers that tell their logs apart, for all that is known by (partition, offset).

A log is what one topic holds from its creation to its deletion. A topic that was created again, or that
another cluster has under the same name, holds other records at the same offsets: it is another log.

Invariants: a number never changes, is positive and fits an Int32; different logs have different numbers, but
for one pair in 2^31. Source: Kafka gives each topic an id when it creates it (KIP-516), and each cluster.
"""

import hashlib
from collections.abc import Iterable, Mapping

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from runtime.kafka import topic_reader


def log_id(cluster_id: str, topic_id: str) -> int:
    """Return the number of a topic's log."""
    digest = hashlib.sha256(f"{cluster_id}/{topic_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1 or 1


def read(kafka: Mapping[str, str], names: Iterable[str], seconds_max: float) -> dict[str, int]:
    """Return the number of each topic's log, as far as the topics exist.

    Each of two requests may take `seconds_max`. Raises: KafkaException.
    """
    admin = topic_reader.client(kafka)
    described = admin.describe_topics(TopicCollection([*names]), request_timeout=seconds_max)
    cluster = topic_reader.answer(admin.describe_cluster(request_timeout=seconds_max), seconds_max)
    found = {}
    for name, future in described.items():
        try:
            topic = topic_reader.answer(future, seconds_max)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
        else:
            found[name] = log_id(cluster.cluster_id or "", str(topic.topic_id))
    return found
