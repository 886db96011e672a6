"""Tombstones -> the topic `tapcart.erasures`, acknowledged; and the topic itself.

Invariants: `write` returns only when Kafka has all of them. The topic is compacted, so Kafka keeps the newest
tombstone of each id for ever; a topic that is not is refused.
"""

from collections.abc import Iterable, Mapping

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import NewTopic

from consumers.kit.erasures.erased_ids import Tombstone
from consumers.kit.erasures.follower import ErasureError, StoredTombstone
from consumers.kit.errors import TransientError
from runtime.kafka import client_log, topic_reader, topics
from runtime.kafka.topic_contract import TopicContract, new_topic_config

_SECONDS_MAX = 30.0
_TOGETHER = 10_000  # well within librdkafka's queue
_COMPACT = {"cleanup.policy": "compact"}


def ensure_topic(kafka: Mapping[str, str]) -> None:
    """Create the topic, unless there is one. Raises: TransientError, ErasureError."""
    try:
        with topic_reader.client(kafka) as admin:
            policy = topic_reader.configuration(admin, topics.ERASURES, _SECONDS_MAX)
            if policy is None:
                cluster = topic_reader.read(admin, _SECONDS_MAX)
                default = topic_reader.default_replicas(admin, _SECONDS_MAX)
                replicas = TopicContract().replicas(cluster.brokers, default)
                config = new_topic_config(topics.ERASURES, replicas, TopicContract()) | _COMPACT
                new = NewTopic(topics.ERASURES, 1, replicas, config=config)
                created = admin.create_topics([new], request_timeout=_SECONDS_MAX)
                topic_reader.answer(created[topics.ERASURES], _SECONDS_MAX)
                policy = _COMPACT
    except KafkaException as error:
        raise TransientError(f"Kafka: {topics.ERASURES}: {error.args[0].str()}") from error
    if policy.get("cleanup.policy") != "compact":
        raise ErasureError(
            f"{topics.ERASURES} has cleanup.policy={policy.get('cleanup.policy')}: Kafka would forget who is "
            "erased. Set cleanup.policy=compact."
        )


def retention_ms(kafka: Mapping[str, str]) -> int | None:
    """Return how long Kafka keeps events and quarantined bodies; -1: for ever; None: unknown."""
    try:
        with topic_reader.client(kafka) as admin:
            found = [topic_reader.configuration(admin, name, _SECONDS_MAX) or {} for name in topics.ALL]
    except KafkaException:
        return None
    kept = [int(config["retention.ms"]) for config in found if "retention.ms" in config]
    return None if not kept else -1 if min(kept) < 0 else max(kept)


def write(kafka: Mapping[str, str], tombstones: Iterable[Tombstone], key_id: str) -> None:
    """Write the tombstones. Raises: TransientError; some may then be in the topic."""
    stored = (
        (
            f"{one.digest} {one.app_id}".rstrip().encode(),
            msgspec.json.encode(StoredTombstone(one.erased_at_ms, one.size, key_id)),
        )
        for one in tombstones
    )
    write_stored(kafka, stored)


def write_stored(kafka: Mapping[str, str], records: Iterable[tuple[bytes, bytes]]) -> None:
    """Write tombstones as (key, value). Raises: TransientError; some may then be in the topic."""
    properties = {**topics.COMPRESSION, **kafka, "enable.idempotence": True, "acks": "all"}
    producer = Producer(properties, logger=client_log.LOG)
    failed: list[KafkaError] = []

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error)

    for index, (key, value) in enumerate(records):
        producer.produce(topics.ERASURES, value, key, on_delivery=note)
        if index % _TOGETHER == 0:
            producer.flush(_SECONDS_MAX)
    if producer.flush(_SECONDS_MAX) or failed:
        why = failed[0].str() if failed else "no acknowledgement in time"
        raise TransientError(f"Kafka: {topics.ERASURES}: {why}")
