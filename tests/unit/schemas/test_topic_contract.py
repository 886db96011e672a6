"""Problems of topics in all states of a cluster."""

from dataclasses import replace

import pytest

from runtime.kafka import topics
from runtime.kafka.retention import Retention
from runtime.kafka.topic_contract import (
    UNBOUNDED_MS,
    Cluster,
    Problem,
    Topic,
    TopicContract,
    new_topic_config,
    problems,
    readable,
    retention_changes,
)

_ASKED = TopicContract(48, 3, 2, Retention(720))
_CONFIG = {
    "cleanup.policy": "delete",
    "flush.messages": str(UNBOUNDED_MS),
    "max.message.bytes": "4194304",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": str(UNBOUNDED_MS),
    "message.timestamp.after.max.ms": str(UNBOUNDED_MS),
    "min.insync.replicas": "2",
    "retention.bytes": "-1",
    "retention.ms": str(720 * 3_600_000),
    "unclean.leader.election.enable": "false",
}
_GOOD = Topic(partitions=48, replicas=3, leaderless=0, behind=0, config=_CONFIG)


def found(topic: Topic | None, contract: TopicContract = _ASKED, brokers: int = 3) -> list[Problem]:
    """Return the problems of the events topic."""
    return [finding.problem for finding in problems(Cluster(brokers, {topics.EVENTS: topic}), contract)]


def configured(**entries: str) -> Topic:
    """Return a good topic with some changed configuration entries."""
    return replace(_GOOD, config=_CONFIG | {name.replace("_", "."): value for name, value in entries.items()})


def test_a_topic_as_asked_has_no_problem() -> None:
    """More than requested is fine too: topics may gain partitions."""
    assert found(_GOOD) == []
    assert found(replace(_GOOD, partitions=60)) == []
    assert found(configured(retention_ms="-1")) == []
    assert (
        found(replace(_GOOD, replicas=1, config=_CONFIG | {"flush.messages": "1"}), TopicContract(), 1) == []
    )


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        (None, Problem.MISSING),
        (replace(_GOOD, partitions=12), Problem.FEW_PARTITIONS),
        (replace(_GOOD, replicas=2), Problem.FEW_REPLICAS),
        (replace(_GOOD, behind=1), Problem.REPLICAS_AWAY),
        (replace(_GOOD, leaderless=1, behind=1), Problem.REPLICAS_AWAY),
        (configured(min_insync_replicas="1"), Problem.MIN_INSYNC),
        (configured(unclean_leader_election_enable="true"), Problem.UNCLEAN_ELECTION),
        (configured(retention_ms="3600000"), Problem.RETENTION),
        (configured(retention_bytes="1000000"), Problem.RETENTION),
        (configured(cleanup_policy="compact"), Problem.COMPACTION),
        (configured(cleanup_policy="compact,delete"), Problem.COMPACTION),
        (configured(max_message_bytes="1048588"), Problem.MESSAGE_BYTES),
        (configured(message_timestamp_type="LogAppendTime"), Problem.TIMESTAMPS),
        (configured(message_timestamp_after_max_ms="3600000"), Problem.TIMESTAMPS),
        (configured(message_timestamp_before_max_ms="86400000"), Problem.TIMESTAMPS),
    ],
)
def test_each_problem_is_found_alone(topic: Topic | None, problem: Problem) -> None:
    """With its consequence and remedy."""
    cluster = Cluster(3, {topics.EVENTS: topic})
    (finding,) = problems(cluster, _ASKED)

    assert (finding.topic, finding.problem) == (topics.EVENTS, problem)
    assert len(finding.words.split()) > 4


def test_one_replica_has_to_be_on_disk() -> None:
    """A page cache is not a disk; and one replica is too few with three brokers."""
    alone = replace(_GOOD, replicas=1)
    flushed = replace(alone, config=_CONFIG | {"flush.messages": "1"})

    assert found(alone, TopicContract(), brokers=1) == [Problem.NOT_DURABLE]
    assert found(alone, TopicContract(), brokers=3) == [Problem.NOT_DURABLE, Problem.FEW_REPLICAS]
    assert found(flushed, TopicContract(), brokers=3) == [Problem.FEW_REPLICAS]


def test_what_was_not_asked_is_not_missed() -> None:
    """Twelve partitions or an hour of retention are the operator's choice."""
    topic = replace(_GOOD, partitions=12, config=_CONFIG | {"retention.ms": "3600000"})

    assert found(topic, TopicContract()) == []


def test_a_configuration_that_may_not_be_read_is_unknown() -> None:
    """It is neither good nor bad; problems visible in metadata are still found."""
    cluster = Cluster(3, {topics.EVENTS: replace(_GOOD, config=None, behind=2), topics.QUARANTINE: None})
    known = {problem for topic, problem in readable(cluster) if topic == topics.EVENTS}

    assert [finding.problem for finding in problems(cluster, _ASKED)] == [
        Problem.REPLICAS_AWAY,
        Problem.MISSING,
    ]
    assert known == {
        Problem.MISSING,
        Problem.FEW_REPLICAS,
        Problem.FEW_PARTITIONS,
        Problem.REPLICAS_AWAY,
    }
    assert {problem for topic, problem in readable(cluster) if topic == topics.QUARANTINE} == {*Problem}


@pytest.mark.parametrize(
    ("contract", "brokers", "default", "replicas", "min_insync"),
    [
        (TopicContract(), 1, 1, 1, "1"),
        (TopicContract(), 2, 1, 2, "2"),
        (TopicContract(), 3, 1, 3, "2"),
        (TopicContract(), 7, 1, 3, "2"),
        (TopicContract(), 1, 3, 3, "2"),  # the other brokers have not started yet
        (TopicContract(replication=5, min_insync=3), 3, 1, 5, "3"),
        (TopicContract(min_insync=2), 1, 1, 2, "2"),
    ],
)
def test_a_new_topic_survives_a_broker_where_it_can(
    contract: TopicContract, brokers: int, default: int, replicas: int, min_insync: str
) -> None:
    """Three replicas with two in sync; a single one is flushed."""
    config = new_topic_config(topics.EVENTS, contract.replicas(brokers, default), contract)

    assert contract.replicas(brokers, default) == replicas
    assert config["min.insync.replicas"] == min_insync
    assert config.get("flush.messages") == ("1" if replicas == 1 else None)


def test_a_new_topic_has_no_problem() -> None:
    """Ingest's own topics meet its requirements."""
    for brokers in (1, 2, 3):
        contract = TopicContract(retention=Retention(720, 1 << 33))
        replicas = contract.replicas(brokers)
        config = _CONFIG | new_topic_config(topics.EVENTS, replicas, contract)
        topic = Topic(12, replicas, 0, 0, config)
        assert found(topic, contract, brokers) == []


def test_only_the_events_have_as_many_partitions_as_asked() -> None:
    """The quarantine always has one partition."""
    assert TopicContract(48).partitions_of(topics.EVENTS) == 48
    assert TopicContract().partitions_of(topics.EVENTS) == 12
    assert TopicContract(48).partitions_of(topics.QUARANTINE) == 1


def test_all_segments_of_a_topic_fit_into_its_bytes() -> None:
    """The quarantine has a tenth; Kafka deletes whole segments, and never the one being written."""
    for total in (1 << 28, 1 << 33, 1 << 40):
        held = 0
        for topic, partitions in ((topics.EVENTS, 12), (topics.QUARANTINE, 1)):
            entries = Retention(720, total).entries(topic, partitions)
            held += partitions * (int(entries["retention.bytes"]) + int(entries["segment.bytes"]))
            assert 1 << 20 <= int(entries["segment.bytes"]) <= 1 << 30
        assert total * 0.95 < held <= total
    unbounded = Retention(720, 0).entries(topics.EVENTS, 12)

    assert (unbounded["retention.bytes"], unbounded["segment.bytes"]) == ("-1", str(1 << 30))
    assert Retention(24).entries(topics.EVENTS, 12) == {"retention.ms": "86400000"}


def test_existing_topics_get_what_the_operator_has_set() -> None:
    """Nothing else of them is changed, and nothing at all if the default of an unset variable differs."""
    cluster = Cluster(3, {topics.EVENTS: _GOOD, topics.QUARANTINE: replace(_GOOD, config=None)})

    def changes(retention: Retention) -> dict[str, dict[str, str]]:
        return retention_changes(cluster, TopicContract(retention=retention))

    bounded = changes(Retention(24, 1 << 33, is_hours_set=True))[topics.EVENTS]

    assert changes(Retention(24)) == changes(Retention(720, is_hours_set=True)) == {}
    assert changes(Retention(24, is_hours_set=True)) == {topics.EVENTS: {"retention.ms": "86400000"}}
    assert bounded.keys() == {"retention.ms", "retention.bytes", "segment.bytes"}
    assert (
        found(replace(_GOOD, config=_CONFIG | bounded), TopicContract(48, 3, 2, Retention(24, 1 << 33))) == []
    )


@pytest.mark.parametrize(
    ("kept", "asked", "words"),
    [
        ("1000000", None, "deleted before they are loaded"),
        ("1000000", 1 << 33, "deleted before they are loaded"),
        ("-1", 1 << 33, "the disk may fill"),
        ("99999999999", 1 << 33, "the disk may fill"),
    ],
)
def test_bytes_that_nobody_asked_for_are_a_problem(kept: str, asked: int | None, words: str) -> None:
    """Too few cost events, too many the disk; a process without the settings says nothing."""
    topic = configured(retention_bytes=kept)
    contract = TopicContract(48, 3, 2, Retention(720, asked))
    (finding,) = problems(Cluster(3, {topics.EVENTS: topic}), contract)

    assert words in finding.words
    assert found(topic, TopicContract()) == []
