"""`python -m tests.bench.system --seconds 600 --rate 1000`: everything on this machine, under steady traffic.

Prints the latency of answers, the freshness of events, the cost of each process, and the number of parts in
the tables. `--search` first finds the highest rate at which events can be queried within 5 s, by short runs,
then holds it for `--seconds`. For the method see `traffic.py`. Exit status 1: an event was not answered 200,
or an acknowledged marker never came. Sender and stack share the machine; the sender's share is printed.
"""

import argparse
import asyncio
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.options import Options
from tests.bench.report import GOALS, Section, say, table
from tests.bench.traffic import Seen, Traffic, percentile
from tests.bench.usage import Meter, Usage
from tests.support.stack import Stack
from tests.support.warehouse import Tables

_RATE, _SECONDS = 1000.0, 600.0
_FRESH_SECONDS_MAX = 5.0
_STEP_SECONDS = 30.0
_STEP = 1.25
_WARM_SECONDS = 5.0
_PARTS_SECONDS = 5.0
_PARTS_SQL = (
    "SELECT count(), max(parts) FROM (SELECT count() AS parts FROM system.parts"
    " WHERE active AND database = 'tapcart_raw' GROUP BY table, partition)"
)


@dataclass(frozen=True, slots=True)
class Run:
    """The results of one steady rate."""

    rate: float
    seconds: float
    seen: Seen
    usage: Usage
    parts: list[int]  # the most active parts of one day of one table, read every few seconds

    @property
    def lossless(self) -> bool:
        """Whether every post was answered 200, and every marker came."""
        return not self.seen.refused and not self.seen.missing

    @property
    def fresh(self) -> bool:
        """Whether events could be queried in time; without a backlog that only grows."""
        third = len(self.seen.queryable) // 3
        late = percentile(self.seen.queryable[-third:], 0.99) if third else float("inf")
        return self.lossless and max(late, percentile(self.seen.queryable, 0.99)) < _FRESH_SECONDS_MAX


class LostError(AssertionError):
    """A post was not answered 200, or an acknowledged marker never came."""


def run(options: Options) -> Section:
    """Measure the figures of the goals. Raises: LostError."""
    if options.smoke:
        return section(50, 3, search=False)
    return section(_RATE, _SECONDS, search=True)


def section(rate: float, seconds: float, *, search: bool) -> Section:
    """Return the results on a stack of its own. Raises: LostError."""
    with tempfile.TemporaryDirectory(prefix="tapline-bench-") as folder:
        stack = Stack(Path(folder)).start()
        try:
            steady(stack, 100, _WARM_SECONDS)
            runs = [steady(stack, rate, seconds)]
            if search:
                runs.append(_highest(stack, rate, seconds))
        finally:
            stack.stop()
    lines = [*_goals(runs[0]), "", *_figures(runs)]
    if lost := [
        f"{run.rate:,.0f}/s: {run.seen.refused}, {run.seen.missing}" for run in runs if not run.lossless
    ]:
        raise LostError(f"answers and markers lost at {'; '.join(lost)}")
    return Section("system", "Everything on one machine", lines)


def steady(stack: Stack, rate: float, seconds: float) -> Run:
    """Send that many events per second for that long."""
    say(f"{rate:,.0f} events/s for {seconds:,.0f} s")
    traffic = Traffic(stack.ingest_url, stack.clickhouse_url)
    with _parts(stack) as parts:
        meter = Meter(stack)
        seen, usage = asyncio.run(traffic.send(rate, seconds, meter.read))
    run = Run(rate, seconds, seen, usage, parts)
    say(
        f"  answers p99 {percentile(seen.answers, 0.99) * 1e3:.1f} ms, queryable p99"
        f" {percentile(seen.queryable, 0.99):.2f} s, machine {usage.machine:.0%}"
    )
    return run


def _highest(stack: Stack, rate: float, seconds: float) -> Run:
    """Return the run at the highest rate that stays fresh for `seconds`: steps up, then down."""
    while steady(stack, rate * _STEP, min(seconds, _STEP_SECONDS)).fresh:
        rate *= _STEP
    while not (run := steady(stack, rate, seconds)).fresh:
        rate *= 0.9
    return run


@contextmanager
def _parts(stack: Stack) -> Iterator[list[int]]:
    """Yield the list that gets the number of parts of the day with the most, every few seconds."""
    found: list[int] = []
    done, tables = threading.Event(), Tables(stack.clickhouse_url)

    def look() -> None:
        while not done.wait(_PARTS_SECONDS):
            found.append(tables.rows(_PARTS_SQL)[0][1])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def _goals(run: Run) -> list[str]:
    busiest = max((share, name) for name, share in run.usage.cores.items() if name in ("ingest", "warehouse"))
    most = max(run.usage.machine, run.usage.disk, busiest[0])
    half = len(run.parts) // 2
    first, second = max(run.parts[:half], default=0), max(run.parts[half:], default=0)
    rows = [
        _goal("POST to 200, p99, ms", 25, percentile(run.seen.answers, 0.99) * 1e3, 1),
        _goal("POST to queryable, p99, s", 1.5, percentile(run.seen.queryable, 0.99), 2),
        _goal("cores, disk, each process of one thread: the busiest, %", 80, most * 100, 0),
        ["parts of one day of one table, first and second half", "no growth", f"{first}, {second}", "-"],
    ]
    return [f"{run.rate:,.0f} events/s for {run.seconds:,.0f} s:", "", *table(GOALS, rows)]


def _goal(words: str, most: float, value: float, digits: int) -> list[str]:
    return [words, f"< {most:g}", f"{value:.{digits}f}", "yes" if value < most else "**no**"]


def _figures(runs: list[Run]) -> list[str]:
    names = list(runs[0].usage.cores)
    header = ["", *(f"{run.rate:,.0f}/s, {run.seconds:,.0f} s" for run in runs)]
    rows = [
        ["answers: p50, p99, max, ms", *(_three(run.seen.answers, 1e3) for run in runs)],
        ["queryable: p50, p99, max, s", *(_three(run.seen.queryable, 1) for run in runs)],
        [
            "not 200; markers that never came",
            *(f"{sum(run.seen.refused.values())}; {run.seen.missing}" for run in runs),
        ],
        [
            "one question for markers, p50, ms",
            *(f"{percentile(run.seen.questions, 0.5) * 1e3:.0f}" for run in runs),
        ],
        ["a post sent late by the sender, at most, ms", *(f"{run.seen.late * 1e3:.0f}" for run in runs)],
        ["machine, disk", *(f"{run.usage.machine:.0%}, {run.usage.disk:.0%}" for run in runs)],
        ["most parts of one day of one table", *(str(max(run.parts, default=0)) for run in runs)],
        *([f"{name}: of a core; MiB", *(_process(run.usage, name) for run in runs)] for name in names),
    ]
    return table(header, rows)


def _three(seconds: list[float], unit: float) -> str:
    return ", ".join(f"{percentile(seconds, share) * unit:.2f}" for share in (0.5, 0.99, 1))


def _process(usage: Usage, name: str) -> str:
    return f"{usage.cores[name]:.0%}; {usage.memory_mib[name]:.0f}"


def main() -> int:
    """Run it; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.system", description=__doc__)
    parser.add_argument("--seconds", type=float, default=_SECONDS)
    parser.add_argument("--rate", type=float, default=_RATE, help="events per second")
    parser.add_argument("--search", action="store_true", help="find and hold the highest rate too")
    arguments = parser.parse_args()
    try:
        found = section(arguments.rate, arguments.seconds, search=arguments.search)
    except LostError as error:
        say(str(error))
        return 1
    sys.stdout.write("\n".join(found.lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
