"""Topics on a cluster -> numbers that tell their logs apart, for all that is known by (partition, offset).

A log is what one topic holds from its creation to its deletion. A topic that was created again, or that
another cluster has under the same name, holds other records at the same offsets: it is another log.

Invariants: a number never changes, is positive and fits an Int32; different logs have different numbers, but
for one pair in 2^31. Source: Kafka gives each topic an id when it creates it (KIP-516), and each cluster.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from runtime.kafka import topic_reader


@dataclass(frozen=True, slots=True)
class TopicIds:
    """The ids that Kafka gave out."""

    cluster_id: str
    topic_ids: Mapping[str, str]  # by name, of the topics that exist

    @property
    def logs(self) -> dict[str, int]:
        """The number of each topic's log."""
        return {name: _log(self.cluster_id, topic_id) for name, topic_id in self.topic_ids.items()}


def read(kafka: Mapping[str, str], names: Iterable[str], seconds_max: float) -> TopicIds:
    """Return the ids of topics, as far as they exist; two requests take `seconds_max` each at most.

    Raises: KafkaException.
    """
    with topic_reader.client(kafka) as admin:
        described = admin.describe_topics(TopicCollection([*names]), request_timeout=seconds_max)
        cluster = topic_reader.answer(admin.describe_cluster(request_timeout=seconds_max), seconds_max)
        found = {}
        for name, future in described.items():
            try:
                found[name] = str(topic_reader.answer(future, seconds_max).topic_id)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
        return TopicIds(cluster.cluster_id or "", found)


def _log(cluster_id: str, topic_id: str) -> int:
    digest = hashlib.sha256(f"{cluster_id}/{topic_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1 or 1
