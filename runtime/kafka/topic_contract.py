"""The state of our topics on a cluster, and their required state -> problems with remedies. Pure.

Each problem can make the cluster lose an event that was answered 200, or refuse it for good: promise 1 in
docs/architecture.md. Source: docs/decisions/0007-topic-contract.md; Kafka's
documentation of topic configurations; entry names are Kafka's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from runtime.kafka import topics
from runtime.kafka.retention import HOUR_MS, Retention

PARTITIONS = {
    topics.EVENTS: 12,
    topics.QUARANTINE: 1,
    topics.AUDIT: 1,
}  # of new topics; nothing may rely on these numbers
_REPLICAS, _MIN_INSYNC = 3, 2
_DAY_MS = 86_400_000
UNBOUNDED_MS = 2**63 - 1


class Problem(StrEnum):
    """The kinds of problems: the values of a metric label."""

    MISSING = "missing"
    NOT_DURABLE = "not_durable"
    FEW_REPLICAS = "few_replicas"
    FEW_PARTITIONS = "few_partitions"
    REPLICAS_AWAY = "replicas_away"
    MIN_INSYNC = "min_insync"
    UNCLEAN_ELECTION = "unclean_election"
    RETENTION = "retention"
    COMPACTION = "compaction"
    MESSAGE_BYTES = "message_bytes"
    TIMESTAMPS = "timestamps"


@dataclass(frozen=True, slots=True)
class TopicContract:
    """The operator's settings for topics; None: unset."""

    partitions: int | None = None  # of tapcart.events; the quarantine always has one
    replication: int | None = None
    min_insync: int | None = None
    retention: Retention = field(default_factory=Retention)

    def partitions_of(self, topic: str) -> int:
        """Return the number of partitions of a new topic."""
        return (self.partitions if topic == topics.EVENTS else None) or PARTITIONS.get(topic, 1)

    def replicas(self, brokers: int, default: int = 1) -> int:
        """Return the number of replicas of a new topic; `default`: the brokers' default."""
        return self.replication or max(min(_REPLICAS, brokers), default, self.min_insync or 1)


@dataclass(frozen=True, slots=True)
class Topic:
    """The state of one topic on the cluster."""

    partitions: int
    replicas: int  # of the partition with the fewest
    leaderless: int  # partitions without a leader
    behind: int  # partitions with a replica out of sync
    config: Mapping[str, str] | None  # None: not readable


@dataclass(frozen=True, slots=True)
class Cluster:
    """Live brokers and our topics; None: the topic does not exist."""

    brokers: int
    topics: Mapping[str, Topic | None]


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """One problem of one topic."""

    topic: str
    problem: Problem
    words: str  # the consequence and the remedy


def new_topic_config(topic: str, replicas: int, contract: TopicContract) -> dict[str, str]:
    """Build the configuration of a new topic."""
    min_insync = contract.min_insync or min(_MIN_INSYNC, replicas)
    config = {
        "compression.type": topics.CODEC,
        "min.insync.replicas": str(min_insync),
        "max.message.bytes": str(topics.VALUE_BYTES_MAX),
        # By default an hour: if our clock were further ahead, the spool would wait for Kafka's clock.
        "message.timestamp.after.max.ms": str(UNBOUNDED_MS),
    }
    config |= contract.retention.entries(topic, contract.partitions_of(topic))
    if replicas == 1:
        # Without replicas, only a synced disk keeps an acknowledged event (costs 14%, docs/benchmarks.md).
        config["flush.messages"] = "1"
    return config


def retention_changes(cluster: Cluster, contract: TopicContract) -> dict[str, dict[str, str]]:
    """Return topic -> the entries to set, for topics without the operator's retention."""
    found = {
        name: contract.retention.changes(name, topic.partitions, topic.config)
        for name, topic in cluster.topics.items()
        if topic is not None and topic.config is not None
    }
    return {name: entries for name, entries in found.items() if entries}


def problems(cluster: Cluster, contract: TopicContract) -> tuple[TopicFinding, ...]:
    """Return the problems of our topics, as far as they are readable."""
    found = []
    for name, topic in cluster.topics.items():
        if topic is None:
            words = "does not exist. ingest creates it once permitted, and spools events until then."
            found.append(TopicFinding(name, Problem.MISSING, words))
            continue
        for problem, judge in _JUDGES.items():
            if words := judge(_Case(name, topic, topic.config or {}, cluster.brokers, contract)):
                found.append(TopicFinding(name, problem, words))
    return tuple(found)


def readable(cluster: Cluster) -> frozenset[tuple[str, Problem]]:
    """Return the topics and problems that `problems` can judge; some need a readable configuration."""
    return frozenset(
        (name, problem)
        for name, topic in cluster.topics.items()
        for problem in Problem
        if topic is None or topic.config is not None or problem not in _BY_CONFIG
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """One topic to be judged."""

    name: str
    topic: Topic
    config: Mapping[str, str]
    brokers: int
    contract: TopicContract

    def number(self, entry: str, default: int) -> int:
        """Return a number from the configuration, or `default` if it is missing."""
        return int(self.config.get(entry, default))


def _not_durable(case: _Case) -> str:
    if case.topic.replicas > 1 or case.number("flush.messages", 1) == 1:
        return ""
    return (
        "has one replica and flush.messages is not 1: a power cut loses events that were answered 200. "
        "Give it three replicas, or set flush.messages=1."
    )


def _few_replicas(case: _Case) -> str:
    wanted = case.contract.replicas(case.brokers)
    if case.topic.replicas >= wanted:
        return ""
    return f"has {_count(case.topic.replicas, 'replica')} instead of {wanted}. Reassign its partitions."


def _few_partitions(case: _Case) -> str:
    wanted = case.contract.partitions if case.name == topics.EVENTS else None
    if not wanted or case.topic.partitions >= wanted:
        return ""
    return (
        f"has {_count(case.topic.partitions, 'partition')} instead of {wanted}. "
        "Add some; events of an app that changes partition may then arrive out of order, once."
    )


def _replicas_away(case: _Case) -> str:
    topic = case.topic
    if topic.leaderless:
        return f"has {_count(topic.leaderless, 'partition')} without a leader. Start the brokers."
    if topic.behind:
        return (
            f"has {_count(topic.behind, 'partition')} with a replica that is not in sync. "
            "Start its broker, or wait until it has caught up."
        )
    return ""


def _min_insync(case: _Case) -> str:
    least, wanted = case.number("min.insync.replicas", _MIN_INSYNC), case.contract.min_insync or _MIN_INSYNC
    if case.topic.replicas == 1 or least >= wanted:
        return ""
    return (
        f"has min.insync.replicas={least}: if the others fail, 200 means one broker's memory. "
        f"Set min.insync.replicas={wanted}."
    )


def _unclean_election(case: _Case) -> str:
    if case.config.get("unclean.leader.election.enable", "false") == "false":
        return ""
    return (
        "has unclean.leader.election.enable=true: a replica that lacks events may become the leader. "
        "Set unclean.leader.election.enable=false."
    )


def _retention(case: _Case) -> str:
    return case.contract.retention.problem(case.name, case.topic.partitions, case.config)


def _compaction(case: _Case) -> str:
    if "compact" not in case.config.get("cleanup.policy", ""):
        return ""
    return "has cleanup.policy=compact: only the last event of an app stays. Set cleanup.policy=delete."


def _message_bytes(case: _Case) -> str:
    most = case.number("max.message.bytes", topics.VALUE_BYTES_MAX)
    if most >= topics.VALUE_BYTES_MAX:
        return ""
    return (
        f"has max.message.bytes={most}: Kafka refuses large events. "
        f"Set max.message.bytes={topics.VALUE_BYTES_MAX}."
    )


def _timestamps(case: _Case) -> str:
    if case.config.get("message.timestamp.type", "CreateTime") != "CreateTime":
        return (
            "has message.timestamp.type=LogAppendTime: the time of receipt is lost. "
            "Set message.timestamp.type=CreateTime."
        )
    before_min = (case.contract.retention.hours or 0) * HOUR_MS
    for side, least in (("before", before_min), ("after", _DAY_MS)):
        name = f"message.timestamp.{side}.max.ms"
        if case.number(name, UNBOUNDED_MS) < least:
            return (
                f"has {name}={case.config[name]}: Kafka refuses events from a wrong clock or an old spool. "
                f"Set {name}={UNBOUNDED_MS}."
            )
    return ""


_JUDGES: dict[Problem, Callable[[_Case], str]] = {
    Problem.NOT_DURABLE: _not_durable,
    Problem.FEW_REPLICAS: _few_replicas,
    Problem.FEW_PARTITIONS: _few_partitions,
    Problem.REPLICAS_AWAY: _replicas_away,
    Problem.MIN_INSYNC: _min_insync,
    Problem.UNCLEAN_ELECTION: _unclean_election,
    Problem.RETENTION: _retention,
    Problem.COMPACTION: _compaction,
    Problem.MESSAGE_BYTES: _message_bytes,
    Problem.TIMESTAMPS: _timestamps,
}
_BY_CONFIG = frozenset(Problem) - {
    Problem.MISSING,
    Problem.FEW_REPLICAS,
    Problem.FEW_PARTITIONS,
    Problem.REPLICAS_AWAY,
}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
