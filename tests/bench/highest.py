"""`python -m tests.bench.highest --from 3000 --hold 600`: the highest rate at which events stay fresh.

Fresh: events can be queried within 5 s (p99), also in the last third of the run, and none is lost. Each step
has a new stack, so that none works beside the merges of those before it. Steps go up until one is not fresh,
or are halved until one is; then between the two. As a part of the bench, steps hold for seconds and the
long run's for ten minutes.
"""

import argparse
import sys
from collections.abc import Callable

from tests.bench.options import Options
from tests.bench.report import Section, goal, say, spread
from tests.bench.steady import FRESH_SECONDS_MAX, Run, figures, fresh_stack, steady

_WANTED = 3000
_UP, _DOWN = 1.25, 0.5  # the next step is the rate times this
_NEAR = 1.2  # a search ends at steps nearer than this
_HOLD_SECONDS = 3.0, 30.0, 600.0  # of a smoke run, a usual one, a long one
_STEPS_MAX = 1, 5, 10
_SMOKE_RATE = 40.0
_LATE_SECONDS_MAX = 2 * FRESH_SECONDS_MAX


def run(options: Options) -> Section:
    """Search. Raises: AssertionError."""
    if options.smoke:
        return section(_SMOKE_RATE, _HOLD_SECONDS[0], 1)
    return section(_WANTED, options.pick(*_HOLD_SECONDS), options.pick(*_STEPS_MAX))


def section(first: float, seconds: float, steps_max: int) -> Section:
    """Return the results of a search that begins at `first` events/s."""
    runs: list[Run] = []

    def is_fresh(rate: float) -> bool:
        with fresh_stack() as stack:
            runs.append(steady(stack, rate, seconds, _LATE_SECONDS_MAX))
        say(f"{rate:,.0f}/s: {'fresh' if runs[-1].is_fresh else 'not fresh'}")
        return runs[-1].is_fresh

    rate = search(is_fresh, first, steps_max)
    about = (
        f"Each step on a new stack, for {seconds:,.0f} s, or until an event is {_LATE_SECONDS_MAX:g} s old."
    )
    lines = figures([[run] for run in sorted(runs, key=lambda run: run.rate)])
    words = f"highest rate held for {seconds:,.0f} s with p99 < {FRESH_SECONDS_MAX:g} s, events/s"
    return Section("highest", "Highest rate", about, [goal(words, spread([rate]), least=_WANTED)], lines)


def search(is_fresh: Callable[[float], bool], first: float, steps_max: int) -> float:
    """Return the highest rate that was fresh; 0 if none was within that many steps."""
    high = low = 0.0  # the lowest rate that was not fresh, the highest that was
    rate = first
    for _ in range(steps_max):
        if is_fresh(rate):
            low = rate
        else:
            high = rate
        if low and high and high / low < _NEAR:
            break
        between = (low * high) ** 0.5
        rate = between or rate * (_UP if low else _DOWN)
    return low


def main() -> int:
    """Search; return the exit status: 1 if no step was fresh."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.highest", description=__doc__)
    parser.add_argument("--from", dest="first", type=float, default=float(_WANTED), help="the first rate")
    parser.add_argument("--hold", type=float, default=_HOLD_SECONDS[2], help="seconds of each step")
    parser.add_argument("--steps", type=int, default=_STEPS_MAX[2], help="steps at most")
    given = parser.parse_args()
    found = section(given.first, given.hold, given.steps)
    sys.stdout.write("\n".join(found.lines) + "\n")
    return 0 if found.goals[0].measured.median else 1


if __name__ == "__main__":
    sys.exit(main())
