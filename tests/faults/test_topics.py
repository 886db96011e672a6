"""Topics on a cluster of three: their creation, their problems, and clients when they grow."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from math import isnan
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourcePatternType,
    ResourceType,
)

from runtime.kafka import topic_reader, topics
from runtime.kafka.retention import Retention
from runtime.kafka.topic_contract import Problem, TopicContract, problems
from tests.bench.partitions import partition
from tests.faults.harness.cluster import BROKERS, Cluster
from tests.faults.posting import event
from tests.support.process import Ingest
from tests.support.readers import Readers, reading
from tests.support.stack import Stack
from tests.support.topic import end_offsets
from tests.support.waiting import eventually
from tests.support.warehouse import Loader, Tables

pytestmark = pytest.mark.slow

_ASKED, _GROWN = 48, 60
_APPS = 300  # over all partitions
_ROUNDS_MAX = 60  # of posts, until ingest uses the new partitions: 5 s at most
# Clients of another listener have a name, and so rights.
_RIGHTS = """\
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port},\
BROKERS://127.0.0.1:{broker_port},SECURED://127.0.0.1:{secured_port}
advertised.listeners=CLIENTS://127.0.0.1:{port},BROKERS://127.0.0.1:{broker_port},SECURED://127.0.0.1:{secured_port}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,BROKERS:PLAINTEXT,SECURED:SASL_PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.secured.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_tapline="secret";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""
_LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "PLAIN",
    "KAFKA_SASL_USERNAME": "tapline",
    "KAFKA_SASL_PASSWORD": "secret",
}
_BAD = {
    "cleanup.policy": "compact",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "LogAppendTime",
    "min.insync.replicas": "1",
    "retention.ms": "3600000",
    "unclean.leader.election.enable": "true",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers; one listener enforces rights."""
    brokers = Cluster(tmp_path_factory.mktemp("cluster"), BROKERS, properties=_RIGHTS)
    brokers.start()
    yield brokers
    brokers.stop()


@pytest.fixture(scope="module")
def admin(cluster: Cluster) -> AdminClient:
    """The administrator of the cluster."""
    return AdminClient({"bootstrap.servers": cluster.servers, "log_level": 0})


@pytest.fixture
def ingest(cluster: Cluster, tmp_path: Path) -> Iterator[Ingest]:
    """An ingest that is set to 48 partitions, once it has checked them."""
    process = started(cluster.servers, tmp_path)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """ClickHouse alone."""
    running = Stack(tmp_path_factory.mktemp("clickhouse"), "clickhouse").start()
    yield running
    running.stop()


def started(servers: str, folder: Path, **env: str) -> Ingest:
    """Return an ingest that has checked the topics."""
    process = Ingest(servers, folder, {"INGEST_TOPIC_PARTITIONS": str(_ASKED)} | env).start()
    eventually(lambda: process.admin.get("/readyz").json()["topic_problems"] is not None, what="a comparison")
    return process


def states(ingest: Ingest) -> dict[tuple[str, str], float]:
    """Return topic and problem -> the metric."""
    return {
        (topic, problem): ingest.metric(
            f'tapline_ingest_topic_problems{{problem="{problem}",topic="{topic}"}}'
        )
        for topic in topics.ALL
        for problem in Problem
    }


@contextmanager
def configured(admin: AdminClient, topic: str, entries: Mapping[str, str]) -> Iterator[None]:
    """Change a topic's configuration."""
    resource = ConfigResource(ResourceType.TOPIC, topic)

    def alter(operation: AlterConfigOpType) -> None:
        changed = [
            ConfigEntry(name, value, incremental_operation=operation) for name, value in entries.items()
        ]
        asked = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=changed)
        admin.incremental_alter_configs([asked])[resource].result(10)

    before = admin.describe_configs([resource])[resource].result(10)
    alter(AlterConfigOpType.SET)
    try:
        yield
    finally:
        entries = {name: str(before[name].value) for name in entries}
        alter(AlterConfigOpType.SET)


@pytest.mark.usefixtures("ingest")
def test_new_topics_are_as_asked(admin: AdminClient) -> None:
    """Three replicas with two in sync; the quarantine has one partition; there are no problems."""
    contract = TopicContract(_ASKED, 3, 2, Retention(720))
    eventually(lambda: not problems(topic_reader.read(admin, 10), contract), 60, "no problem")
    cluster = topic_reader.read(admin, 10)
    made = {name: topic for name, topic in cluster.topics.items() if topic is not None}

    assert cluster.brokers == len(BROKERS)
    assert made[topics.EVENTS].partitions >= _ASKED  # another test may have enlarged it
    assert made[topics.QUARANTINE].partitions == 1
    for topic in made.values():
        assert topic.replicas == len(BROKERS)
        assert topic.config is not None
        assert topic.config["min.insync.replicas"] == "2"
        assert topic.config["retention.ms"] == str(720 * 3_600_000)


def test_a_topic_that_breaks_promises_is_said(
    cluster: Cluster, admin: AdminClient, clickhouse: Stack, tmp_path: Path
) -> None:
    """In the log with the remedy, once; as a metric; in `/readyz`; and in the loader's log."""
    started(cluster.servers, tmp_path).stop()  # creates the topics
    eventually(
        lambda: not problems(topic_reader.read(admin, 10), TopicContract()), 60, "all replicas are in sync"
    )
    with configured(admin, topics.QUARANTINE, _BAD):
        ingest = started(cluster.servers, tmp_path)
        ready = ingest.admin.get("/readyz").json()
        found = {key for key, value in states(ingest).items() if value == 1}
        ingest.stop()
        loader = Loader(cluster.servers, clickhouse.clickhouse_url, tmp_path).start()
        eventually(lambda: "unclean_election" in loader.log.read_text(), what="the loader's words")
        loader.stop()
    logged = [json.loads(line) for line in ingest.log.read_text().splitlines() if "topic_problem" in line]

    expected = {
        Problem.COMPACTION,
        Problem.MESSAGE_BYTES,
        Problem.MIN_INSYNC,
        Problem.RETENTION,
        Problem.TIMESTAMPS,
        Problem.UNCLEAN_ELECTION,
    }
    assert found == {(topics.QUARANTINE, problem) for problem in expected}
    assert {one["problem"] for one in ready["topic_problems"]} == expected
    assert sorted(one["problem"] for one in logged) == sorted(expected)
    assert all("Set " in one["detail"] for one in logged)


def test_existing_topics_follow_the_retention(cluster: Cluster, admin: AdminClient, tmp_path: Path) -> None:
    """At the next start of ingest; without the right to change them, they are a problem with its remedy."""
    started(cluster.servers, tmp_path).stop()
    asked = {"INGEST_RETENTION_HOURS": "48", "KAFKA_RETENTION_BYTES": str(1 << 33)}

    def kept(name: str) -> int:
        topic = topic_reader.read(admin, 10).topics[topics.QUARANTINE]
        assert topic is not None
        assert topic.config is not None
        return int(topic.config[name])

    hour = {"retention.ms": "3600000"}
    with configured(admin, topics.EVENTS, hour), configured(admin, topics.QUARANTINE, hour):
        with forbidden(admin, topics.QUARANTINE, AclOperation.ALTER_CONFIGS):
            ingest = started(cluster.secured, tmp_path, **_LOGIN, **asked)
            found = states(ingest)[topics.QUARANTINE, Problem.RETENTION]
            ingest.stop()
        denied, said = kept("retention.ms"), ingest.log.read_text()
        ingest = started(cluster.servers, tmp_path, **asked)
        eventually(lambda: kept("retention.ms") == 48 * 3_600_000, what="the retention")
        bound = kept("retention.bytes"), kept("segment.bytes")
        ingest.stop()
        started(cluster.servers, tmp_path, INGEST_RETENTION_BYTES="0").stop()
        unbounded = kept("retention.bytes"), kept("retention.ms")

    assert (found, denied) == (1, 3_600_000)
    assert "topic_retention_not_changed" in said
    assert sum(bound) == (1 << 33) // 10
    assert unbounded == (-1, 48 * 3_600_000)


def test_a_configuration_that_may_not_be_read_is_unknown(
    cluster: Cluster, admin: AdminClient, tmp_path: Path
) -> None:
    """Everything works; NaN is neither good nor bad, and is logged once."""
    started(cluster.servers, tmp_path).stop()
    with forbidden(admin, topics.EVENTS, AclOperation.DESCRIBE_CONFIGS):
        ingest = started(cluster.secured, tmp_path, **_LOGIN)
        eventually(ingest.direct, 60, "ingest's way to Kafka")
        assert ingest.post(event(0)).json()["kept"] == "kafka"
        found = states(ingest)
        ingest.stop()
    said = [line for line in ingest.log.read_text().splitlines() if "topic_configuration_unreadable" in line]

    assert isnan(found[topics.EVENTS, Problem.COMPACTION])
    assert found[topics.EVENTS, Problem.FEW_REPLICAS] == 0
    assert found[topics.QUARANTINE, Problem.COMPACTION] == 0
    assert len(said) == 1


@contextmanager
def forbidden(admin: AdminClient, topic: str, operation: AclOperation) -> Iterator[None]:
    """Forbid the secured listener's user one operation on a topic."""

    def rule(done: AclOperation, permission: AclPermissionType) -> AclBinding:
        kind = ResourcePatternType.LITERAL
        return AclBinding(ResourceType.TOPIC, topic, kind, "User:tapline", "*", done, permission)

    rules = [rule(AclOperation.ALL, AclPermissionType.ALLOW), rule(operation, AclPermissionType.DENY)]
    for future in admin.create_acls(rules).values():
        future.result(10)
    try:
        yield
    finally:
        for future in admin.delete_acls([_filter(topic)]).values():
            future.result(10)


def _filter(topic: str) -> AclBindingFilter:
    kind = ResourcePatternType.LITERAL
    every = (AclOperation.ANY, AclPermissionType.ANY)
    return AclBindingFilter(ResourceType.TOPIC, topic, kind, "User:tapline", "*", *every)


@pytest.fixture
def readers(cluster: Cluster, ingest: Ingest, clickhouse: Stack, tmp_path: Path) -> Iterator[Readers]:
    """Readers of the cluster, already reading."""
    with reading(cluster, ingest, clickhouse, tmp_path) as running:
        yield running


def test_a_topic_that_grows_is_followed(readers: Readers, admin: AdminClient) -> None:
    """48 partitions become 60 under load: each reader knows every partition, and no event is missing."""
    servers, posted = readers.cluster.servers, set[tuple[str, str]]()
    before = sum(end_offsets(servers, topics.EVENTS).values())

    def post(number: int) -> None:
        for app in range(_APPS):
            assert readers.ingest.post(event(number, app_id=f"grow-{app}")).status_code == 200
            posted.add((f"grow-{app}", str(number)))

    post(0)
    eventually(lambda: posted <= readers.kit, what="the kit reads")
    admin.create_partitions([NewPartitions(topics.EVENTS, _GROWN)])[topics.EVENTS].result(10)
    for number in range(1, _ROUNDS_MAX):
        post(number)
        ends = end_offsets(servers, topics.EVENTS)
        if len(ends) == _GROWN and all(ends[partition] for partition in range(_ASKED, _GROWN)):
            break
    eventually(lambda: posted <= readers.kit, 60, "the kit saw every event")
    eventually(lambda: posted <= readers.tailed(), 60, "tail showed every event")
    eventually(lambda: [*readers.lags().values()] == [0] * _GROWN, 60, "nothing waits")
    report = json.loads(readers.run("consumers.reconcile", "--json"))
    again = readers.run("consumers.replay", "--from", "2020-01-01", "--to", "2100-01-01")

    assert all(ends.get(partition) for partition in range(_ASKED, _GROWN)), "ingest uses the new partitions"
    assert sum(one["topic"] == topics.EVENTS for one in report["partitions"]) == _GROWN
    assert report["totals"]["offsets"] == before + len(posted)
    assert report["totals"]["missing"] == 0
    assert f"{before + len(posted)} records reloaded" in again
    assert readers.loader.metric('tapline_warehouse_lag_records{partition="59",topic="tapcart.events"}') == 0
    rows = Tables(readers.clickhouse).one("SELECT count() FROM tapcart.app_opened WHERE app_id LIKE 'grow-%'")
    assert rows == len(posted)


def test_freshness_sees_every_partition(readers: Readers) -> None:
    """Records waiting only in the last of them are late."""
    last = len(end_offsets(readers.cluster.servers, topics.EVENTS)) - 1
    app = next(app for n in count() if partition((app := f"late-{n}").encode(), last + 1) == last)
    eventually(readers.ingest.direct, 60, "ingest's way to Kafka")
    readers.loader.stop()
    assert readers.ingest.post(event(0, app_id=app)).json()["kept"] == "kafka"
    eventually(lambda: readers.lags()[last] == 1, what="the page shows what waits")
    age_ms = readers.live.snapshot()["freshness"]["age_ms"]
    readers.loader.start()
    eventually(lambda: readers.live.snapshot()["freshness"]["age_ms"] == 0, 60, "all is loaded")

    assert age_ms > 0
    assert last >= _ASKED - 1
