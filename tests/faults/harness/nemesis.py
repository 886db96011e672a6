"""Plans -> faults, carried out by two hands at once, counted and logged.

Invariants: every fault is healed before `stop` returns; an exception in a hand is raised there.
"""

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec

from tests.faults.harness.damage import Damage
from tests.faults.harness.faults import FAULTS
from tests.faults.harness.plan import Step
from tests.faults.harness.world import World


class Done(msgspec.Struct, frozen=True):
    """One fault that was carried out."""

    name: str
    at: float  # seconds since the nemesis started
    seconds: float  # until it was healed and a new process was up
    hand: int


def carried_out(log: Path) -> list[Done]:
    """Read the log of `Nemesis.stop`."""
    return [msgspec.json.decode(line, type=Done) for line in log.read_bytes().splitlines()]


class Nemesis:
    """The two hands."""

    def __init__(
        self, world: World, seed: int, hands: Sequence[Iterator[Step]], left_out: Collection[str]
    ) -> None:
        self.done: list[Done] = []
        self._world = world
        self._left_out = left_out
        self._damage = Damage(world.foreign, seed)
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._threads = [threading.Thread(target=self._work, args=hand) for hand in enumerate(hands)]

    @property
    def failed(self) -> bool:
        """Whether a hand has ended unexpectedly."""
        return self._failure is not None

    def start(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def stop(self, log: Path) -> None:
        """Start no more faults, heal the current ones, write the log. Raises: exceptions of a hand."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._world.heal()
        log.write_bytes(b"".join(msgspec.json.encode(done) + b"\n" for done in self.done))
        if self._failure:
            raise self._failure

    def _work(self, hand: int, steps: Iterator[Step]) -> None:
        try:
            for step in steps:
                if self._stopping.wait(step.pause):
                    return
                if step.kind not in self._left_out:
                    self._carry_out(hand, step)
        except BaseException as error:  # noqa: BLE001 - raised by `stop`
            self._failure = error

    def _carry_out(self, hand: int, step: Step) -> None:
        began = time.monotonic()
        with FAULTS[step.kind](self._world, self._damage, step, Random(step.seed)):
            self._stopping.wait(step.seconds)
        now = time.monotonic()
        self.done.append(Done(step.name, round(began - self._began, 2), round(now - began, 2), hand))
