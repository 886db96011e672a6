"""`python -m tests.bench.system --seconds 600 --rate 1000`: everything on this machine, under steady traffic.

Prints the latency of answers, the freshness of events, the cost of each process, and the number of parts in
the tables. As a part of the bench it measures three rates by turns. Exit status 1: an event was not answered
200, or an acknowledged marker never came.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

from tests.bench.options import Options
from tests.bench.report import Goal, Section, Spread, goal, say, spread
from tests.bench.steady import LostError, Run, check, figures, fresh_stack, steady
from tests.bench.traffic import percentile

# Events/s; and whether ClickHouse is queried for them meanwhile.
_FEW, _FEW_ASKED, _SOME, _MANY = (20, False), (20, True), (200, True), (1000, True)
# By case: seconds of a smoke run, a usual one, a long one.
_SECONDS = {_FEW: (1, 12, 120), _FEW_ASKED: (0, 10, 120), _SOME: (0, 10, 120), _MANY: (3, 25, 600)}
_SMOKE_RATE = 50


def run(options: Options) -> Section:
    """Measure the rates by turns on one stack. Raises: LostError."""
    found: dict[tuple[int, bool], list[Run]] = {}
    with fresh_stack() as stack:
        for number in range(1, options.rounds + 1):
            say(f"round {number} of {options.rounds}")
            for (rate, asks), amounts in _SECONDS.items():
                if seconds := options.pick(*amounts):
                    at = min(rate, _SMOKE_RATE) if options.smoke else rate
                    found.setdefault((rate, asks), []).append(steady(stack, at, seconds, asks=asks))
    check([one for runs in found.values() for one in runs])
    about = f"{options.rounds} rounds of each rate; everything on this machine, the sender too."
    lines = figures([*found.values()])
    return Section("system", "Everything on one machine", about, _goals(found), lines)


def _goals(found: Mapping[tuple[int, bool], Sequence[Run]]) -> list[Goal]:
    few, many = found[_FEW], found[_MANY]
    rate = f"{many[0].rate:,.0f}/s"
    return [
        goal(f"{few[0].rate:,.0f}/s, without queries: ClickHouse, % of a core", _clickhouse(few), most=10),
        goal(f"{rate}: ClickHouse, % of a core", _clickhouse(many), most=40),
        goal(
            f"{rate}: POST to 200, p99, ms",
            spread(percentile(run.seen.answers, 0.99) * 1e3 for run in many),
            most=40,
        ),
        goal(
            f"{rate}: POST to queryable, p99, s",
            spread(percentile(run.seen.queryable, 0.99) for run in many),
            most=1.5,
        ),
        goal(
            f"{rate}: cores, disk, each process of one thread: the busiest, %",
            spread(_busiest(run) * 100 for run in many),
            most=80,
        ),
    ]


def _clickhouse(runs: Sequence[Run]) -> Spread:
    return spread(run.usage.cores["clickhouse"] * 100 for run in runs)


def _busiest(run: Run) -> float:
    cores = run.usage.cores
    return max(run.usage.machine, run.usage.disk, cores["ingest"], cores["warehouse"])


def main() -> int:
    """Run one rate; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.system", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=float(_MANY[0]), help="events per second")
    arguments = parser.parse_args()
    with fresh_stack() as stack:
        found = steady(stack, arguments.rate, arguments.seconds)
    sys.stdout.write("\n".join(figures([[found]])) + "\n")
    try:
        check([found])
    except LostError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
