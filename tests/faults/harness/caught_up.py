"""A world that is healed -> what still has a way to go: records in the spool, records not yet loaded.

Source: ingest's metrics; the group's committed offsets, which the loader moves only after the insert.
"""

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.topics import PARTITIONS
from tests.faults.harness.world import World

_GROUP = "tapline.warehouse"
_SECONDS_MAX = 10.0


class CaughtUp:
    """Asks ingest and Kafka."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._admin = AdminClient({"bootstrap.servers": world.kafka_servers, "log_level": 0})

    def what_lags(self) -> str:
        """Return a sentence, empty when nothing does. Raises: httpx.HTTPError, KafkaException."""
        if spooled := self._world.metric("tapline_ingest_spool_bytes"):
            return f"{spooled:.0f} bytes are spooled"
        if not self._world.metric("tapline_ingest_kafka_direct"):
            return "ingest sends to the spool"
        lags = {f"{topic}/{partition}": lag for topic, partition, lag in self._lags() if lag}
        return f"records not loaded: {lags}" if lags else ""

    def _lags(self) -> list[tuple[str, int, int]]:
        places = [
            TopicPartition(name, number) for name, count in PARTITIONS.items() for number in range(count)
        ]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = self._admin.list_offsets(dict.fromkeys(places, latest))
        group = ConsumerGroupTopicPartitions(_GROUP, places)
        committed = self._admin.list_consumer_group_offsets([group], request_timeout=_SECONDS_MAX)[_GROUP]
        done = {(p.topic, p.partition): p.offset for p in committed.result(_SECONDS_MAX).topic_partitions}
        return [
            (
                p.topic,
                p.partition,
                future.result(_SECONDS_MAX).offset - max(0, done.get((p.topic, p.partition), 0)),
            )
            for p, future in asked.items()
        ]
