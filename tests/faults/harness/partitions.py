"""Faults of the network between brokers and to them; `faults` has all others. See `network`."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from random import Random

from confluent_kafka.admin import AdminClient

from runtime.kafka import topics
from tests.faults.harness.damage import Damage
from tests.faults.harness.plan import Step
from tests.faults.harness.world import World

_SECONDS_MAX = 20.0


@contextlib.contextmanager
def cut(world: World, _: Damage, __: Step, ___: Random) -> Iterator[None]:
    """The broker that leads most partitions reaches nobody, and nobody reaches it."""
    assert world.network is not None
    with world.network.cut(_leader(world)):
        yield


@contextlib.contextmanager
def isolate(world: World, _: Damage, __: Step, ___: Random) -> Iterator[None]:
    """That broker loses its peers and the controllers, but clients reach it and believe that it leads."""
    assert world.network is not None
    with world.network.cut(_leader(world), only_peers=True):
        yield


@contextlib.contextmanager
def narrow(world: World, _: Damage, __: Step, ___: Random) -> Iterator[None]:
    """What is sent to that broker waits for up to a second, or is lost and sent again."""
    assert world.network is not None
    with world.network.narrowed(_leader(world)):
        yield


def _leader(world: World) -> str:
    admin = AdminClient({"bootstrap.servers": world.kafka_servers, "log_level": 0})
    found = admin.list_topics(timeout=_SECONDS_MAX).topics[topics.EVENTS].partitions.values()
    leaders = Counter(partition.leader for partition in found if partition.leader > 0)
    return world.kafka[leaders.most_common(1)[0][0] - 1]
