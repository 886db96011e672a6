"""ingest's delivery under a thousand scripts of faults, and the mutants that the simulation must find."""

import re

import pytest

from tests.simulation.__main__ import run
from tests.simulation.mutants import MUTANTS, found
from tests.simulation.outage import FSYNC_SECONDS, back, bound, capacity
from tests.simulation.script import script
from tests.simulation.world import World, small


@pytest.mark.parametrize("seeds", [150, pytest.param(2500, marks=pytest.mark.slow)])
def test_every_invariant_holds_whatever_fails(seeds: int) -> None:
    """`python -m tests.simulation --seeds 100000` runs more."""
    with small():
        faults = {seed: fault for seed in range(seeds) if (fault := run(World(script(seed)), seed))}

    assert not faults, "again: python -m tests.simulation --seed N"


def test_a_seed_is_the_same_run_again() -> None:
    """Step by step: otherwise a failure could not be examined."""
    with small():
        runs = []
        for _ in range(2):
            said: list[str] = []
            run(World(script(7), said.append), 7)
            runs.append(said)

    assert len(runs[0]) > 20
    assert runs[0] == runs[1]


@pytest.mark.parametrize("fsync_seconds", FSYNC_SECONDS)
def test_ingest_is_direct_again_within_the_bound(fsync_seconds: float) -> None:
    """On disks of any speed, with arrivals at half of Kafka's capacity."""
    full = capacity()
    seen = back(fsync_seconds, full / 2)

    assert seen.backlog > 500
    assert seen.seconds <= bound(seen, full)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found(name: str) -> None:
    """By an invariant that it breaks, with the script that breaks it."""
    said = found(MUTANTS[name])

    assert re.search(f"=> .*({MUTANTS[name].complaint})", said), said[-3000:]
    assert "again: python -m tests.simulation --seed" in said
