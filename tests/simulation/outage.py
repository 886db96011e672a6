"""How soon ingest is direct again after an outage, in virtual time: `python -m tests.simulation.outage`.

Virtual time is free of the machine's load: only the disk, Kafka and the state machine take time. The window
is small, so that Kafka takes some hundred records a second, and half of that is a load that can be simulated.
Each call of the disk, also a read, takes as long as a sync. Bound: 10 s and twice the time that the backlog
needs by itself, with arrivals at half of Kafka's capacity.
"""

import random
import sys
from dataclasses import dataclass

from tests.simulation.script import Fault, Script
from tests.simulation.world import World, small

FSYNC_SECONDS = (0.0, 0.005, 0.010, 0.020)
BOUND_SECONDS = 10.0
_AWAY_SECONDS = 5.0
_REPORT_SECONDS = 0.002  # twice: to append, and to report
_SENDERS = 20
# As many records as the real ones hold of usual events, divided by a hundred.
_TAIL_BYTES, _SEGMENT_BYTES = 600, 2_400


@dataclass(frozen=True, slots=True)
class Back:
    """The result of one outage."""

    backlog: int  # records
    seconds: float  # until the state was direct


def back(fsync_seconds: float, rate: float, *, load_goes_on: bool = True) -> Back:
    """Return how ingest came back from an outage of 5 s, at that many arrivals a second."""
    script = Script(
        seed=1,
        chaos_seconds=1.0 + _AWAY_SECONDS,
        senders=tuple((f"app-{number}", _SENDERS / rate) for number in range(_SENDERS)),
        poison=0.0,
        fsync_seconds=fsync_seconds,
        report_seconds=_REPORT_SECONDS,
        faults=(Fault(1.0, _AWAY_SECONDS, "kafka hangs", 1.0),),
    )
    random.seed(script.seed)
    with small(_TAIL_BYTES, _SEGMENT_BYTES):
        world = World(script, load_goes_on=load_goes_on)
        world.run()
    return Back(world.backlog, world.back_seconds)


def capacity() -> float:
    """Return how many spooled records a second Kafka takes while nothing arrives."""
    alone = back(0.0, 500.0, load_goes_on=False)
    return alone.backlog / alone.seconds


def bound(seen: Back, full: float) -> float:
    """Return the seconds within which ingest must be back; `full`: the capacity."""
    return BOUND_SECONDS + 2 * seen.backlog / full


def _main() -> None:
    full = capacity()
    _say(f"Kafka takes {full:,.0f} spooled records a second while nothing arrives.\n")
    _say("| fsync ms | arrivals/s | backlog | direct again s | the bound |\n|---:|---:|---:|---:|---:|")
    for fsync_seconds in FSYNC_SECONDS:
        for share in (0.25, 0.5):
            seen = back(fsync_seconds, share * full)
            numbers = f"{seen.backlog:,} | {seen.seconds:.1f} | {bound(seen, full):.1f}"
            _say(f"| {fsync_seconds * 1e3:.0f} | {share * full:,.0f} | {numbers} |")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
