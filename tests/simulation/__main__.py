"""`python -m tests.simulation --seeds N [--first N]`, or `--seed N`: exits with 1 if an invariant breaks."""

import argparse
import gc
import random
import sys
import time

from tests.simulation.ledger import ViolationError
from tests.simulation.script import script
from tests.simulation.world import World, small

_SHOWN = 40  # last lines of a failing run
_COLLECTED_SEEDS = 50


def main() -> int:
    """Run the seeds named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="one, with everything that happens in it")
    options = parser.parse_args()
    with small():
        if options.seed is not None:
            return 1 if fault_of(options.seed, shown=1_000_000) else 0
        return _run(options.first, options.seeds)


def fault_of(seed: int, shown: int = _SHOWN) -> str:
    """Return the invariant that a seed breaks, and print its script; empty if none."""
    lines: list[str] = []
    world = World(script(seed), lines.append)
    fault = run(world, seed)
    if fault or shown > _SHOWN:
        print(script(seed), *lines[-shown:], f"=> {fault or 'every invariant holds'}", sep="\n")
        print(f"again: python -m tests.simulation --seed {seed}")
    return fault


def run(world: World, seed: int) -> str:
    """Return the invariant that breaks in a world; empty if none."""
    random.seed(seed)
    try:
        world.run()
    except Exception as error:  # any exception is a fault of ours
        return str(error) if isinstance(error, ViolationError) else f"{type(error).__name__}: {error}"
    return ""


def _run(first: int, count: int) -> int:
    began = time.monotonic()
    steps = crashes = records = 0
    gc.disable()
    for number, seed in enumerate(range(first, first + count), 1):
        world = World(script(seed))
        if run(world, seed):
            fault_of(seed)
            return 1
        steps, crashes = steps + world.steps, crashes + world.crashes
        records += len(world.ledger.acknowledged)
        if number % _COLLECTED_SEEDS == 0:
            gc.collect()
        if number % 10_000 == 0 or number == count:
            seconds = time.monotonic() - began
            print(
                f"{number:,} seeds, {records:,} records acknowledged, {crashes:,} crashes, {steps:,} steps"
                f" in {seconds:.0f} s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
