"""The moment until which all received events are read, for any waiting records in any order."""

import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.received_until import DeliverySnapshot, ReceivedUntil
from consumers.kit.record import Place

_A, _B = ("t", 0), ("t", 1)


def test_the_moment_is_that_of_a_look_that_was_reached() -> None:
    """Any lag holds it back, but only records before the snapshot's ends need to be read."""
    until = ReceivedUntil()
    until.take(DeliverySnapshot(100, {_A: 5, _B: 2}))
    until.take(DeliverySnapshot(200, {_A: 7, _B: 2}))

    assert until.of({_A: 4, _B: 2}) == 0
    assert until.of({_A: 5, _B: 2}) == 100
    assert until.of({_A: 6, _B: 2}) == 100
    assert until.of({_A: 7, _B: 2}) == 200


def test_no_look_no_progress() -> None:
    """Without answers of Kafka and ingest there is none, and the moment does not advance."""
    until = ReceivedUntil()
    until.take(DeliverySnapshot(100, {_A: 5}))
    assert until.of({_A: 5}) == 100
    assert until.of({_A: 9}) == 100


def test_a_spool_holds_it_back() -> None:
    """An earlier answer of ingest stays true."""
    until = ReceivedUntil()
    until.take(DeliverySnapshot(100, {_A: 5}))
    until.take(DeliverySnapshot(97, {_A: 5}))

    assert until.of({_A: 5}) == 100


def test_a_partition_that_comes_is_read_first() -> None:
    """Another member may have read less of it than we have of ours."""
    until = ReceivedUntil()
    until.take(DeliverySnapshot(100, {_A: 5, _B: 2}))
    before = until.of({_A: 5})

    assert before == 100
    assert until.of({_A: 5, _B: 1}) == 0
    assert until.of({_A: 5, _B: 2}) == 100
    assert until.of({_B: 2}) == 100
    assert until.of({}) == 0


def test_a_look_from_before_a_partition_says_nothing_of_it() -> None:
    """It does not block those that include the partition."""
    until = ReceivedUntil()
    until.take(DeliverySnapshot(100, {_A: 5}))
    assert until.of({_A: 5, _B: 0}) == 0
    until.take(DeliverySnapshot(200, {_A: 5, _B: 3}))

    assert until.of({_A: 5, _B: 2}) == 0
    assert until.of({_A: 5, _B: 3}) == 200


def test_looks_are_bounded() -> None:
    """Hours behind, each is still reached in time."""
    until = ReceivedUntil()
    for number in range(10_000):
        until.take(DeliverySnapshot(number, {_A: number}))

    assert len(until._snapshots) <= 1_000
    assert 4_900 < until.of({_A: 5_000}) <= 5_000
    assert until.of({_A: 9_999}) == 9_999


@dataclass
class World:
    """Ingest processes with spools, a topic that may grow, and one consumer."""

    chance: random.Random
    now: int = 1
    spools: list[deque[int]] = field(default_factory=lambda: [deque(), deque()])  # received_at
    spooling: list[bool] = field(default_factory=lambda: [False, False])
    answers: list[bool] = field(default_factory=lambda: [True, True])
    log: list[list[int]] = field(default_factory=lambda: [[], []])  # received_at, by partition
    read: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})  # our partitions
    until: ReceivedUntil = field(default_factory=ReceivedUntil)
    asked: int | None = None  # ingest has answered, Kafka not yet

    def post(self) -> None:
        """Acknowledge an event, in Kafka or in a spool."""
        process = self.chance.randrange(len(self.spools))
        if self.spooling[process] or self.spools[process]:
            self.spools[process].append(self.now)
        else:
            self.append(self.now)

    def append(self, received_at: int) -> None:
        """Append a record to Kafka."""
        self.chance.choice(self.log).append(received_at)

    def drain(self) -> None:
        """Move a spool's oldest record to Kafka."""
        process = self.chance.randrange(len(self.spools))
        if self.spools[process] and self.answers[process]:
            self.append(self.spools[process].popleft())

    def toggle(self) -> None:
        """Disconnect a process from Kafka or reconnect it; or kill it with its spool, or restart it."""
        states = self.chance.choice([self.spooling, self.answers])
        process = self.chance.randrange(len(states))
        states[process] = not states[process]

    def ask_ingest(self) -> None:
        """Ask all processes; all must answer."""
        self.asked = None
        if all(self.answers):
            oldest = [spool[0] for spool in self.spools if spool]
            self.asked = min([self.now, *oldest])

    def ask_kafka(self) -> None:
        """Ask Kafka, after ingest has answered."""
        if self.asked is not None:
            ends: dict[Place, int] = {("t", p): len(records) for p, records in enumerate(self.log)}
            self.until.take(DeliverySnapshot(self.asked, ends))
        self.asked = None

    def poll(self) -> None:
        """Let the consumer read on."""
        if self.read:
            partition = self.chance.choice([*self.read])
            room = len(self.log[partition]) - self.read[partition]
            self.read[partition] += self.chance.randint(0, room)

    def rebalance(self) -> None:
        """Revoke a partition, or assign one that another member has partly read."""
        partition = self.chance.randrange(len(self.log))
        if partition in self.read:
            del self.read[partition]
        else:
            self.read[partition] = self.chance.randint(0, len(self.log[partition]))

    def grow(self) -> None:
        """Add a partition to the topic."""
        if len(self.log) < 4:
            self.log.append([])

    def check(self) -> None:
        """Check that no event received before the moment is still to come."""
        until = self.until.of({("t", p): offset for p, offset in self.read.items()})
        waiting = [at for spool in self.spools for at in spool]
        unread = [at for p, offset in self.read.items() for at in self.log[p][offset:]]
        assert all(at >= until for at in waiting + unread), (until, waiting, unread)


@given(st.randoms(use_true_random=False))
def test_nothing_received_before_the_moment_is_still_to_come(chance: random.Random) -> None:
    """A model of everything that holds events; once all is healthy, the moment is now."""
    world = World(chance)
    acts = [world.post, world.post, world.drain, world.poll, world.poll, world.ask_ingest, world.ask_kafka]
    for _ in range(200):
        world.now += chance.randint(0, 2)
        chance.choice([*acts, chance.choice([world.toggle, world.rebalance, world.grow])])()
        world.check()
    world.answers, world.read = [True, True], {p: len(records) for p, records in enumerate(world.log)}
    while any(world.spools):
        world.drain()
    world.ask_ingest()
    world.ask_kafka()
    world.read = {p: len(records) for p, records in enumerate(world.log)}

    assert world.until.of({("t", p): offset for p, offset in world.read.items()}) == world.now


@pytest.mark.parametrize("mutant", ["ends first", "one short"])
def test_the_model_notices(mutant: str) -> None:
    """A snapshot whose ends precede ingest's answer, and a consumer that stops one record short."""
    failures = 0
    for seed in range(200):
        world = World(random.Random(seed))
        old_ends: dict[Place, int] = {}

        def ask_kafka(world: World = world, old: dict[Place, int] = old_ends) -> None:
            if world.asked is not None:
                ends = {("t", p): max(0, len(records) - 1) for p, records in enumerate(world.log)}
                world.until.take(
                    DeliverySnapshot(world.asked, dict(old) if mutant == "ends first" and old else ends)
                )
            old.update({("t", p): len(records) for p, records in enumerate(world.log)})
            world.asked = None

        acts = [world.post, world.post, world.drain, world.poll, world.ask_ingest, ask_kafka, world.toggle]
        try:
            for _ in range(200):
                world.now += 1
                world.chance.choice(acts)()
                world.check()
        except AssertionError:
            failures += 1
    assert failures > 50
