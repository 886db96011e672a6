"""A Kafka cluster of three: brokers die, leaders move, a connection goes silent; all events are kept."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from consumers.kit.group_consumer import GroupConsumer, Membership
from runtime.kafka import topics
from tests.faults.half_open import Proxy
from tests.faults.harness.cluster import BROKERS, Cluster
from tests.faults.posting import ANSWER_SECONDS_MAX, answers_while, event, ids_since, page_seconds_while
from tests.support.process import Ingest, free_port
from tests.support.topic import end_offsets
from tests.support.waiting import eventually, patience

pytestmark = pytest.mark.slow

_APPS = 16  # over all partitions, so over all leaders
_BACK_SECONDS_MAX = 90.0
# Several times the usual; without a limit the silence would last until metadata are refreshed.
_LEFT_SECONDS_MAX = 30.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Proxy]]:
    """Three brokers with `min.insync.replicas=2`, the first of them behind a proxy."""
    port = free_port()
    brokers = Cluster(tmp_path_factory.mktemp("cluster"), BROKERS, {BROKERS[0]: port})
    with Proxy(port, brokers.ports[BROKERS[0]]).running() as proxy:
        brokers.start()
        yield brokers, proxy
        brokers.stop()


@pytest.fixture
def ingest(cluster: tuple[Cluster, Proxy], tmp_path: Path) -> Iterator[Ingest]:
    """An ingest that sends to the brokers directly."""
    process = Ingest(cluster[0].servers, tmp_path).start()
    assert eventually(process.direct, _BACK_SECONDS_MAX)
    yield process
    process.stop()


@pytest.mark.parametrize("victims", [BROKERS[1:2], BROKERS[1:]], ids=["one", "two"])
def test_brokers_of_a_cluster_that_die_cost_no_event(
    cluster: tuple[Cluster, Proxy], ingest: Ingest, victims: tuple[str, ...]
) -> None:
    """One of three killed: leaders move. Two: too few replicas. Every answer is 200, every event in order."""
    brokers, _ = cluster

    def die() -> None:
        for name in victims:
            os.kill(brokers.pid(name), signal.SIGKILL)
        # Until a broker has registered again, its replicas may seem to be in sync.
        eventually(lambda: all(_answers(brokers, name) for name in victims), _BACK_SECONDS_MAX, "the killed")
        eventually(lambda: _whole(brokers), _BACK_SECONDS_MAX, "all replicas are in sync")

    _assert_nothing_is_noticed(brokers, ingest, die)


def test_a_connection_that_falls_silent_costs_no_event(
    cluster: tuple[Cluster, Proxy], ingest: Ingest
) -> None:
    """Half open: no answer and no FIN, forever. Every answer is 200; ingest drops the connection."""
    brokers, proxy = cluster

    def fall_silent() -> None:
        # Only a used connection matters: by now one leads to each leader.
        eventually(lambda: ingest.metric("tapline_ingest_events_total") > 4 * _APPS, what="some answers")
        proxy.mute()
        eventually(lambda: not ingest.direct(), what="the silence was noticed")
        eventually(ingest.direct, _LEFT_SECONDS_MAX, "ingest left the connection")

    _assert_nothing_is_noticed(brokers, ingest, fall_silent)


def test_a_consumer_leaves_a_connection_that_falls_silent(
    cluster: tuple[Cluster, Proxy], ingest: Ingest
) -> None:
    """Its fetch gets no answer; records behind other connections keep arriving."""
    brokers, proxy = cluster
    membership = Membership("silent", (topics.EVENTS,))
    source = GroupConsumer({"bootstrap.servers": brokers.servers}, membership, lambda _: None, lambda: None)
    found: list[str] = []

    def has_come(number: int) -> bool:
        found.extend((r.key() or b"").decode() for r in source.poll(0.1, 1000, 1_000_000))
        return {f"silent-{number}-{app}" for app in range(_APPS)} <= {*found}

    for number in range(2):
        for app in range(_APPS):
            assert ingest.post(event(0, app_id=f"silent-{number}-{app}")).status_code == 200
        eventually(partial(has_come, number), _LEFT_SECONDS_MAX, "every record")
        proxy.mute()
    source.close(10)


def _assert_nothing_is_noticed(brokers: Cluster, ingest: Ingest, trouble: Callable[[], None]) -> None:
    before = end_offsets(brokers.servers, topics.EVENTS)
    answers, page_seconds = asyncio.run(_post_during(ingest, trouble))
    eventually(ingest.direct, _BACK_SECONDS_MAX, "the spool is empty")
    arrived = ids_since(brokers.servers, before)

    assert {status for of_app in answers.values() for status, _ in of_app} == {200}
    slowest = max(seconds for of_app in answers.values() for _, seconds in of_app)
    assert slowest < ANSWER_SECONDS_MAX * patience()
    # The slowest shared its core with another process; a blocked loop delays more than one in ten.
    assert page_seconds[len(page_seconds) * 9 // 10] < 0.3 * patience()
    assert arrived == {app_id: [str(n) for n in range(len(of_app))] for app_id, of_app in answers.items()}


async def _post_during(
    ingest: Ingest, trouble: Callable[[], None]
) -> tuple[dict[str, list[tuple[int, float]]], list[float]]:
    ended = asyncio.ensure_future(asyncio.to_thread(trouble))
    answers, page_seconds = await asyncio.gather(
        answers_while(ingest, ended, _APPS), page_seconds_while(ingest, ended)
    )
    await ended
    return answers, page_seconds


def _answers(brokers: Cluster, name: str) -> bool:
    """Return whether this broker has joined the cluster and answers. Raises: KafkaException."""
    address = f"127.0.0.1:{brokers.ports[name]}"
    return bool(AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=5).brokers)


def _whole(brokers: Cluster) -> bool:
    """Return whether every replica is in sync."""
    metadata = AdminClient({"bootstrap.servers": brokers.servers, "log_level": 0}).list_topics(timeout=5)
    partitions = metadata.topics[topics.EVENTS].partitions.values()
    return len(partitions) > 0 and all(len(partition.isrs) == len(brokers.names) for partition in partitions)
