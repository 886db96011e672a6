"""One step of the plan -> a fault that lasts as long as the context.

Invariants: leaving the context heals the fault, whatever happened in between; a target that its supervisor is
just restarting is left alone. Source: the kinds of `plan`.
"""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from random import Random

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions

from runtime.kafka import topics
from schemas.catalog.catalog import Catalog
from schemas.catalog.table_names import table_name
from tests.faults.harness import partitions
from tests.faults.harness.damage import Damage
from tests.faults.harness.plan import Step
from tests.faults.harness.world import World

# Far beyond the time limits of Kafka and ingest when added to the events' true time.
_CLOCK_SECONDS = 3 * 86_400
_POISON_RECORDS = (3, 30)
_PARTITIONS_MAX = 60
_LARGEST, _REFUSED_BYTES = "max.message.bytes", "300"  # no event fits
_CONFIG_TRIES = 20

Fault = Callable[[World, Damage, Step, Random], AbstractContextManager[None]]


@contextlib.contextmanager
def _kill(world: World, _: Damage, step: Step, __: Random) -> Iterator[None]:
    yield from _signalled(world, step, signal.SIGKILL)


@contextlib.contextmanager
def _end(world: World, _: Damage, step: Step, __: Random) -> Iterator[None]:
    yield from _signalled(world, step, signal.SIGTERM)


def _signalled(world: World, step: Step, number: signal.Signals) -> Iterator[None]:
    killed = {name: world.send(name, number) for name in step.target.split("+")}
    yield
    for name, pid in killed.items():
        if pid:
            world.wait_back(name, pid)


@contextlib.contextmanager
def _stop(world: World, _: Damage, step: Step, __: Random) -> Iterator[None]:
    names = step.target.split("+")
    for name in names:
        world.send(name, signal.SIGSTOP)
    try:
        yield
    finally:
        for name in names:
            world.send(name, signal.SIGCONT)


@contextlib.contextmanager
def _flap(world: World, _: Damage, __: Step, rng: Random) -> Iterator[None]:
    """Kafka hangs, answers for a moment, hangs again: drains are cut, and ingest is killed in the last."""
    (kafka,) = world.kafka
    try:
        for seconds in (3.0, rng.uniform(0.05, 1.0), 2.5, rng.uniform(0.05, 1.0), 0.5):
            world.send(kafka, signal.SIGCONT if seconds <= 1.0 and seconds != 0.5 else signal.SIGSTOP)
            time.sleep(seconds)
        world.send("ingest", signal.SIGKILL)
        yield
    finally:
        world.send(kafka, signal.SIGCONT)


@contextlib.contextmanager
def _second(world: World, _: Damage, __: Step, rng: Random) -> Iterator[None]:
    """A second loader shares the work; then one of the two dies, or the second stops in order."""
    with world.second_loader() as loader:
        yield
        match rng.randrange(3):
            case 0:
                loader.kill()
            case 1:
                world.send("warehouse", signal.SIGKILL)
                time.sleep(0.5)


@contextlib.contextmanager
def _full(world: World, _: Damage, __: Step, ___: Random) -> Iterator[None]:
    """The spool's disk is full while Kafka hangs: nothing can be kept, and the sender must know."""
    if world.disk is None:
        yield
        return
    filler = world.disk / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))
        for name in world.kafka:
            world.send(name, signal.SIGSTOP)
        yield
    finally:
        filler.unlink(missing_ok=True)
        for name in world.kafka:
            world.send(name, signal.SIGCONT)


@contextlib.contextmanager
def _poison(world: World, damage: Damage, _: Step, rng: Random) -> Iterator[None]:
    note = damage.produce(world.kafka_servers, rng, rng.randrange(*_POISON_RECORDS))
    yield
    note()


@contextlib.contextmanager
def _poison_and_kill(world: World, damage: Damage, _: Step, rng: Random) -> Iterator[None]:
    """Records for the quarantine are read, and then Kafka cannot accept them."""
    note = damage.produce(world.kafka_servers, rng, _POISON_RECORDS[1])
    note()
    name = rng.choice(world.kafka)
    pid = world.send(name, signal.SIGKILL)
    yield
    if pid:
        world.wait_back(name, pid)


@contextlib.contextmanager
def _poison_and_stop(world: World, damage: Damage, step: Step, rng: Random) -> Iterator[None]:
    """The same, but Kafka hangs for longer than the loader waits, and keeps its group meanwhile."""
    damage.produce(world.kafka_servers, rng, _POISON_RECORDS[1])()
    time.sleep(rng.uniform(0.1, 0.5))
    with _stop(world, damage, step, rng):
        yield


@contextlib.contextmanager
def _clock(world: World, _: Damage, __: Step, rng: Random) -> Iterator[None]:
    world.inside.step_clock(rng.choice((-1, 1)) * rng.choice((0.5, 30.0, 4_000.0, float(_CLOCK_SECONDS))))
    try:
        yield
    finally:
        world.inside.step_clock(0.0)


@contextlib.contextmanager
def _slow(world: World, _: Damage, __: Step, rng: Random) -> Iterator[None]:
    """Ingest's disk is as slow as an ordinary cloud disk, while Kafka hangs for a moment."""
    world.inside.slow_fsync(rng.choice((0.005, 0.010, 0.020)))
    try:
        for name in world.kafka:
            world.send(name, signal.SIGSTOP)
        time.sleep(rng.uniform(3.0, 5.0))
        for name in world.kafka:
            world.send(name, signal.SIGCONT)
        yield
    finally:
        world.inside.slow_fsync(0.0)
        for name in world.kafka:
            world.send(name, signal.SIGCONT)


@contextlib.contextmanager
def _crash(world: World, _: Damage, step: Step, __: Random) -> Iterator[None]:
    """A task or thread ends unexpectedly: its process must end and be restarted."""
    pid = 0
    with contextlib.suppress(OSError, ValueError):
        pid = world.pid(step.target)
        world.inside.crash(step.target, pid)
    yield
    if pid and not world.wait_back(step.target, pid):
        world.complaints.append(f"{step.target} goes on without a task that got an exception")


@contextlib.contextmanager
def _grow(world: World, _: Damage, __: Step, rng: Random) -> Iterator[None]:
    """An operator follows the scaling guide: the topic gets more partitions."""
    admin = AdminClient({"bootstrap.servers": world.kafka_servers, "log_level": "0"})
    with contextlib.suppress(KafkaException):
        count = len(admin.list_topics(topics.EVENTS, timeout=10).topics[topics.EVENTS].partitions)
        if count < _PARTITIONS_MAX:
            more = NewPartitions(topics.EVENTS, count + rng.randrange(1, 4))
            for created in admin.create_partitions([more], operation_timeout=10).values():
                created.result(20)
    yield


@contextlib.contextmanager
def _refuse(world: World, _: Damage, __: Step, ___: Random) -> Iterator[None]:
    """Kafka refuses records of events for good, because the topic's maximum record size is too small."""
    admin = AdminClient({"bootstrap.servers": world.kafka_servers, "log_level": "0"})
    before = _largest_record(admin)
    if before in ("", _REFUSED_BYTES):  # Kafka is down, or the other hand is changing it
        yield
        return
    world.refused.set()
    try:
        with contextlib.suppress(KafkaException):
            _set_largest_record(admin, _REFUSED_BYTES, 1)
        yield
    finally:
        _set_largest_record(admin, before, _CONFIG_TRIES)


def _largest_record(admin: AdminClient) -> str:
    """Return the topic's `max.message.bytes`; empty while Kafka is down."""
    topic = ConfigResource(ConfigResource.Type.TOPIC, topics.EVENTS)
    try:
        (found,) = admin.describe_configs([topic], request_timeout=5).values()
        return str(found.result(10)[_LARGEST].value)
    except KafkaException:
        return ""


def _set_largest_record(admin: AdminClient, bytes_max: str, tries: int) -> None:
    entry = ConfigEntry(_LARGEST, bytes_max, incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ConfigResource.Type.TOPIC, topics.EVENTS, incremental_configs=[entry])
    for attempt in range(tries):
        try:
            (altered,) = admin.incremental_alter_configs([topic], request_timeout=5).values()
            altered.result(10)
        except KafkaException:
            if attempt + 1 == tries:
                raise
            time.sleep(0.5)
        else:
            return


@contextlib.contextmanager
def _drop(world: World, _: Damage, __: Step, rng: Random) -> Iterator[None]:
    world.table_dropped.set()
    _alter(world, f"DROP TABLE IF EXISTS tapcart_raw.{_table(rng)} SYNC")
    yield


@contextlib.contextmanager
def _drop_column(world: World, _: Damage, __: Step, rng: Random) -> Iterator[None]:
    column = rng.choice(("device_properties.model", "session_id", "app_properties.app_version"))
    world.column_dropped.set()
    _alter(world, f"ALTER TABLE tapcart_raw.{_table(rng)} DROP COLUMN IF EXISTS `{column}`")
    yield


def _alter(world: World, statement: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        world.sql(statement, seconds_max=20)


def _table(rng: Random) -> str:
    names = [
        table_name(release.name) for release in Catalog.load().newest_releases() if release.family == "mobile"
    ]
    return rng.choice(names)


FAULTS: Mapping[str, Fault] = {
    "kill": _kill,
    "end": _end,
    "stop": _stop,
    "flap": _flap,
    "second": _second,
    "full": _full,
    "poison": _poison,
    "poison_and_kill": _poison_and_kill,
    "poison_and_stop": _poison_and_stop,
    "clock": _clock,
    "slow": _slow,
    "crash": _crash,
    "grow": _grow,
    "refuse": _refuse,
    "drop": _drop,
    "alter": _drop_column,
    "cut": partitions.cut,
    "isolate": partitions.isolate,
    "narrow": partitions.narrow,
}
