"""Admin clients end with the call that made them, also when Kafka is away: an outage gathers no threads."""

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from consumers.kit.errors import TransientError
from consumers.warehouse.load import topic_watch
from consumers.warehouse.privacy import tombstone_writer
from deploy.security import kafka_users
from deploy.security.kafka_users import UsersNotMadeError
from ingest.delivery import topic_keeper
from runtime.kafka import audit, log_ids, topics
from runtime.kafka.audit import AuditError
from runtime.kafka.topic_contract import Cluster, Topic, TopicContract
from runtime.kafka.topic_log import TopicLog
from tests.support.waiting import eventually

_AWAY = {"bootstrap.servers": "127.0.0.1:1"}
_KEPT_SHORTER = Cluster(1, {topics.EVENTS: Topic(12, 1, 0, 0, {"retention.ms": "1"})})
_CALLS: dict[str, Callable[[], object]] = {
    "create topics": lambda: topic_keeper.create_missing(_AWAY, TopicContract(), 0.1),
    "compare topics": lambda: topic_keeper._read(_AWAY),
    "set retention": lambda: topic_keeper._set_retention(_AWAY, _KEPT_SHORTER, TopicContract()),
    "watch topics": lambda: topic_watch._check(_AWAY, TopicLog(TopicContract())),
    "read ids": lambda: log_ids.read(_AWAY, topics.ALL, 0.1),
    "audit": lambda: audit._make_topic(_AWAY, 0.1),
    "read retention": lambda: tombstone_writer.retention_ms(_AWAY),
    "create the topic of erasures": lambda: tombstone_writer.ensure_topic(_AWAY),
}
_EXPECTED = (KafkaException, TransientError, AuditError, UsersNotMadeError)


@pytest.fixture(autouse=True)
def uncollected(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No collection of cycles, as in a process that does nothing else; and short requests."""
    for module in (topic_keeper, topic_watch):
        monkeypatch.setattr(module, "_REQUEST_SECONDS_MAX", 0.1)
    monkeypatch.setattr(tombstone_writer, "_SECONDS_MAX", 0.1)
    monkeypatch.setattr(kafka_users, "_SECONDS_MAX", 0.1)
    gc.disable()
    yield
    gc.enable()


def clients() -> int:
    """Return the number of librdkafka's clients in this process."""
    found = 0
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += (task / "comm").read_text().startswith("rdk:main")
    return found


@pytest.mark.parametrize("call", _CALLS.values(), ids=_CALLS)
def test_a_failed_call_leaves_no_client(call: Callable[[], object]) -> None:
    """Its error holds the future, whose error holds the frame: a cycle."""
    before = clients()
    for _ in range(3):
        with suppress(*_EXPECTED):
            call()

    eventually(lambda: clients() == before, 10, "the clients' end")


def test_users_that_cannot_be_made_leave_no_client(tmp_path: Path) -> None:
    """Like the others; it writes passwords first."""
    before = clients()
    with suppress(*_EXPECTED):
        kafka_users.make(_AWAY, tmp_path, ["live"])

    eventually(lambda: clients() == before, 10, "the client's end")
