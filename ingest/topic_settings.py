"""Environment -> partitions, replicas and retention of the topics that ingest creates.

Existing topics are compared with these. Unset: 12 partitions, three replicas with two in sync, or as many as
there are brokers.
"""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, Field, model_validator

from runtime import environment
from runtime.kafka.retention import Retention
from runtime.kafka.topic_contract import TopicContract

_RETENTION = ("RETENTION_HOURS", "RETENTION_BYTES")


class TopicSettings(BaseModel):
    """The part of ingest's settings that is about topics."""

    model_config = environment.CONFIG

    topic_partitions: int | None = Field(
        None,
        alias="INGEST_TOPIC_PARTITIONS",
        ge=1,
        le=100_000,
        description="Partitions of `tapcart.events` if ingest creates it. Default: 12.",
    )
    topic_replication: int | None = Field(
        None,
        alias="INGEST_TOPIC_REPLICATION",
        ge=1,
        le=100,
        description=(
            "Replicas of the topics that ingest creates. Default: 3, or as many as there are brokers. "
            "Set it in production: while a cluster starts, some brokers may be absent."
        ),
    )
    topic_min_insync: int | None = Field(
        None,
        alias="INGEST_TOPIC_MIN_INSYNC",
        ge=1,
        le=100,
        description=(
            "How many replicas must have a record before Kafka acknowledges it. Default: 2, or as "
            "many as there are brokers. Set it in production."
        ),
    )
    retention_hours: int = Field(
        720,
        alias="INGEST_RETENTION_HOURS",
        ge=1,
        description=(
            "How long Kafka keeps the records of both topics. If it is set, existing topics follow at "
            "ingest's next start, which takes the right AlterConfigs. `KAFKA_RETENTION_HOURS` is another "
            "name for it."
        ),
    )
    retention_bytes: int | None = Field(
        None,
        alias="INGEST_RETENTION_BYTES",
        ge=0,
        description=(
            "How many bytes Kafka keeps of both topics, in one copy; existing topics follow at ingest's next "
            "start. The quarantine gets a tenth, each partition of the events an equal part of the rest: "
            "Kafka deletes the oldest records beyond that, loaded or not. 0: no bound. Default: topics "
            "stay as they are; with the Kafka of `make run`, half of the disk space that is free or already "
            "Kafka's. `KAFKA_RETENTION_BYTES` is another name for it."
        ),
    )

    @model_validator(mode="after")
    def _keeps_writing(self) -> Self:
        if self.topic_replication and (self.topic_min_insync or 0) > self.topic_replication:
            raise ValueError("INGEST_TOPIC_MIN_INSYNC: must not be more than INGEST_TOPIC_REPLICATION")
        return self

    @property
    def topics(self) -> TopicContract:
        """The contract of our topics."""
        retention = Retention(
            self.retention_hours, self.retention_bytes, "retention_hours" in self.model_fields_set
        )
        return TopicContract(self.topic_partitions, self.topic_replication, self.topic_min_insync, retention)


def retention(env: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the retention that `env` has under their other name."""
    return {f"INGEST_{name}": env[f"KAFKA_{name}"] for name in _RETENTION if env.get(f"KAFKA_{name}")}
