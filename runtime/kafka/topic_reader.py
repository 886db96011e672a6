"""A Kafka cluster -> the state of our topics, for `runtime.kafka.topic_contract`.

Invariants: only reads, and never creates a topic by reading it. A configuration that we may not read is None,
not an error. Every call uses a new client: an admin client keeps stale leader epochs of brokers that were
away (docs/decisions/0027-librdkafka-offsets.md).
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartitionInfo
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from runtime.kafka import client_log, topics
from runtime.kafka.topic_contract import Cluster, Topic

_SLACK_SECONDS = 1.0
_FORBIDDEN = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED})


def client(properties: Mapping[str, str]) -> AdminClient:
    """Build an admin client; consumer and producer properties in `properties` are harmless.

    Use it in a `with` statement, which ends its threads: an error that its future holds would keep it alive
    until the next collection of cycles.
    """
    return AdminClient({**properties, "log_level": "0"}, logger=client_log.LOG)


def answer(future: Future[Any], seconds_max: float) -> Any:
    """Wait for the result of an admin request. Raises: KafkaException, also on timeout.

    librdkafka bounds requests by `seconds_max`, but a client that loses an answer would wait forever.
    """
    try:
        return future.result(seconds_max + _SLACK_SECONDS)
    except TimeoutError:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None  # noqa: SLF001 - librdkafka's own name


def read(admin: AdminClient, seconds_max: float) -> Cluster:
    """Read the cluster; each of three requests may take `seconds_max`. Raises: KafkaException."""
    brokers = len(answer(admin.describe_cluster(request_timeout=seconds_max), seconds_max).nodes)
    partitions = _partitions(admin, seconds_max)
    configs = _configs(admin, ResourceType.TOPIC, [*partitions], seconds_max)
    return Cluster(
        brokers,
        {
            name: _topic(partitions[name], configs[name]) if name in partitions else None
            for name in topics.ALL
        },
    )


def configuration(admin: AdminClient, topic: str, seconds_max: float) -> Mapping[str, str] | None:
    """Read the configuration of one topic; None: there is no such topic. Raises: KafkaException."""
    try:
        return _configs(admin, ResourceType.TOPIC, [topic], seconds_max)[topic] or {}
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        return None


def missing(admin: AdminClient, seconds_max: float) -> list[str]:
    """Return our topics that do not exist. Raises: KafkaException."""
    found = _partitions(admin, seconds_max)
    return [name for name in topics.ALL if name not in found]


def default_replicas(admin: AdminClient, seconds_max: float) -> int:
    """Return the brokers' default number of replicas; 1 if unknown. Raises: KafkaException."""
    nodes = answer(admin.describe_cluster(request_timeout=seconds_max), seconds_max).nodes
    configs = _configs(admin, ResourceType.BROKER, [nodes[0].id_string], seconds_max)
    return max(int((config or {}).get("default.replication.factor", 1)) for config in configs.values())


def _partitions(admin: AdminClient, seconds_max: float) -> dict[str, list[TopicPartitionInfo]]:
    described = admin.describe_topics(TopicCollection([*topics.ALL]), request_timeout=seconds_max)
    found = {}
    for name, future in described.items():
        try:
            found[name] = answer(future, seconds_max).partitions
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found


def _configs(
    admin: AdminClient, kind: ResourceType, names: Sequence[str], seconds_max: float
) -> dict[str, Mapping[str, str] | None]:
    """Return the configuration of each resource; None: not readable."""
    resources = [ConfigResource(kind, name) for name in names]
    described = admin.describe_configs(resources, request_timeout=seconds_max) if resources else {}
    configs: dict[str, Mapping[str, str] | None] = {}
    for resource, future in described.items():
        try:
            entries: dict[str, Any] = answer(future, seconds_max)
        except KafkaException as error:
            if error.args[0].code() not in _FORBIDDEN:
                raise
            configs[resource.name] = None
        else:
            configs[resource.name] = {name: entry.value or "" for name, entry in entries.items()}
    return configs


def _topic(partitions: Sequence[TopicPartitionInfo], config: Mapping[str, str] | None) -> Topic:
    return Topic(
        partitions=len(partitions),
        replicas=min(len(one.replicas) for one in partitions),
        leaderless=sum(one.leader is None for one in partitions),
        behind=sum(len(one.isr) < len(one.replicas) for one in partitions),
        config=config,
    )
