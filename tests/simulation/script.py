"""A seed -> the faults to come, with their times and durations. Pure."""

import random
from dataclasses import dataclass

# Fault -> how often it is chosen, and the seconds that it may last.
_KINDS: dict[str, tuple[int, float, float]] = {
    "kafka hangs": (4, 0.05, 6.0),
    "kafka loses records": (2, 0.1, 3.0),
    "kafka loses reports": (3, 0.1, 3.0),
    "kafka reports errors": (3, 0.1, 3.0),
    "kafka is slow": (2, 0.5, 4.0),
    "kafka fails fatally": (2, 0.0, 0.0),
    "kafka refuses the quarantine": (1, 0.5, 4.0),
    "topics do not answer": (1, 0.5, 3.0),
    "disk is slow": (2, 0.5, 4.0),
    "disk hangs": (1, 0.0, 0.2),
    "disk errs": (2, 0.1, 2.0),
    "disk is full": (2, 0.1, 2.0),
    "kill": (2, 0.0, 0.0),
    "power cut": (3, 0.0, 0.0),
    "power cut at a call of the disk": (3, 0.0, 0.0),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault."""

    begins: float  # seconds from the start
    seconds: float
    kind: str
    strength: float  # from 0 to 1

    def __str__(self) -> str:
        return f"{self.begins:7.3f} s  {self.kind}, for {self.seconds:.3f} s, strength {self.strength:.2f}"


@dataclass(frozen=True, slots=True)
class Script:
    """The world of one seed."""

    seed: int
    chaos_seconds: float  # then everything is healthy
    senders: tuple[tuple[str, float], ...]  # key, and seconds between an answer and the next record
    poison: float  # share of records that Kafka always rejects
    fsync_seconds: float  # of the healthy disk
    report_seconds: float  # of the healthy Kafka
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        healthy = f"fsync {self.fsync_seconds * 1e3:.0f} ms, Kafka {self.report_seconds * 1e3:.1f} ms"
        head = f"seed {self.seed}: {self.chaos_seconds:.1f} s of faults; {healthy}; {self.poison:.0%} refused"
        senders = [f"{'':11}a sender of {key!r} every {gap * 1e3:.0f} ms" for key, gap in self.senders]
        return "\n".join([head, *senders, *map(str, self.faults)])


def script(seed: int) -> Script:
    """Return the script of a seed."""
    rng = random.Random(seed)
    chaos_seconds = rng.uniform(1.0, 8.0)
    is_busy = rng.random() < 0.1
    senders = tuple(
        (rng.choice("abc"), rng.uniform(0.02, 0.06) if is_busy else rng.uniform(0.06, 0.5))
        for _ in range(rng.randint(1, 6))
    )
    return Script(
        seed=seed,
        chaos_seconds=chaos_seconds / 4 if is_busy else chaos_seconds,
        senders=senders,
        poison=rng.choice((0.0, 0.0, 0.02 if is_busy else 0.25)),
        fsync_seconds=rng.choice((0.0, 0.005, 0.010, 0.020)),
        report_seconds=rng.uniform(0.0005, 0.005),
        faults=tuple(sorted((_fault(rng, chaos_seconds) for _ in range(rng.randint(1, 6))), key=_begins)),
    )


def _fault(rng: random.Random, seconds_max: float) -> Fault:
    kind = rng.choices([*_KINDS], [weight for weight, _, _ in _KINDS.values()])[0]
    _, least, most = _KINDS[kind]
    return Fault(rng.uniform(0.0, seconds_max), rng.uniform(least, most), kind, rng.random())


def _begins(fault: Fault) -> float:
    return fault.begins
