"""Seed -> faults with their durations and pauses: an endless list per hand. Pure.

Two hands work at once, so up to two faults overlap. Source: docs/failures.md; `faults` carries out
each kind.
"""

from collections.abc import Iterator, Sequence
from random import Random

import msgspec

HANDS = 2
_OURS = ("ingest", "warehouse")
_CRASHED = (*_OURS, "live")


class Step(msgspec.Struct, frozen=True):
    """One fault."""

    kind: str
    target: str
    seconds: float  # until it is healed
    pause: float  # seconds from then until this hand's next fault
    seed: int  # seed of further choices

    @property
    def name(self) -> str:
        """The name under which it is counted."""
        return f"{self.kind} {self.target}"


class Choice(msgspec.Struct, frozen=True):
    """One kind of fault that may be drawn."""

    kind: str
    target: str
    weight: float
    seconds: tuple[float, float]  # shortest, longest

    @property
    def name(self) -> str:
        """The name by which it is requested."""
        return f"{self.kind} {self.target}"


def single() -> list[Choice]:
    """Return the faults of a stack on one machine."""
    return [
        Choice("kill", "kafka", 4, (0.0, 0.5)),
        Choice("stop", "kafka", 6, (0.3, 6.0)),
        Choice("flap", "kafka", 2, (0.0, 0.1)),
        Choice("slow", "disk", 1, (20.0, 60.0)),
        Choice("poison_and_stop", "kafka", 0.5, (11.0, 13.0)),
        *_common(),
    ]


def cluster(brokers: Sequence[str]) -> list[Choice]:
    """Return the faults of a Kafka cluster: one broker at a time, or two."""
    pairs = [f"{one}+{other}" for i, one in enumerate(brokers) for other in brokers[i + 1 :]]
    return [
        *(Choice("kill", broker, 3, (0.0, 1.0)) for broker in brokers),
        *(Choice("stop", broker, 3, (0.3, 8.0)) for broker in brokers),
        *(Choice("kill", pair, 1, (0.0, 1.0)) for pair in pairs),
        *(Choice("stop", pair, 1, (0.3, 8.0)) for pair in pairs),
        *_common(),
    ]


def network() -> list[Choice]:
    """Return the faults of the network between brokers: one at a time, so that two brokers can agree."""
    return [
        Choice("cut", "leader", 1, (20.0, 20.0)),
        Choice("isolate", "leader", 1, (20.0, 20.0)),
        Choice("narrow", "leader", 1, (20.0, 20.0)),
    ]


def steps(seed: int, hand: int, choices: Sequence[Choice]) -> Iterator[Step]:
    """Yield the faults of one hand, endlessly."""
    rng = Random(f"{seed}/hand/{hand}")
    weights = [choice.weight for choice in choices]
    while True:
        (choice,) = rng.choices(choices, weights)
        seconds = rng.uniform(*choice.seconds)
        yield Step(
            choice.kind,
            choice.target,
            round(seconds, 2),
            round(rng.uniform(0.1, 1.5), 2),
            rng.getrandbits(32),
        )


def hands(seed: int, count: int, choices: Sequence[Choice]) -> list[Iterator[Step]]:
    """Return the plan of each hand."""
    return [steps(seed, hand, choices) for hand in range(count)]


def _common() -> list[Choice]:
    return [
        *(Choice("kill", name, 6, (0.0, 0.5)) for name in _OURS),
        *(Choice("stop", name, 4, (0.3, 4.0)) for name in _OURS),
        *(Choice("end", name, 2, (0.0, 0.5)) for name in _OURS),
        Choice("kill", "clickhouse", 4, (0.0, 0.5)),
        Choice("stop", "clickhouse", 4, (0.3, 5.0)),
        Choice("end", "clickhouse", 1, (0.0, 0.5)),
        Choice("second", "warehouse", 3, (2.0, 6.0)),
        Choice("full", "disk", 3, (0.5, 4.0)),
        Choice("poison", "topic", 8, (0.0, 0.3)),
        Choice("poison_and_kill", "kafka", 2, (0.0, 0.1)),
        Choice("clock", "ingest", 4, (0.5, 6.0)),
        *(Choice("crash", name, 2, (0.0, 0.5)) for name in _CRASHED),
        Choice("grow", "topic", 1, (0.0, 0.2)),
        Choice("refuse", "topic", 1, (0.5, 2.0)),
        Choice("drop", "table", 1, (0.0, 0.2)),
        Choice("alter", "table", 1, (0.0, 0.2)),
    ]
