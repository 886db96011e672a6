"""A running stack and a rate -> the latency of answers, freshness of events, and cost of each process.

Sender and stack share the machine; the sender's share is shown. For the method see `traffic.py`.
"""

import asyncio
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path

from tests.bench.report import say, spread, table
from tests.bench.traffic import Seen, Traffic, percentile
from tests.bench.usage import Meter, Usage
from tests.support.stack import Stack
from tests.support.warehouse import Tables

FRESH_SECONDS_MAX = 5.0
_WARM_RATE, _WARM_SECONDS = 100, 5.0
_PARTS_SECONDS = 5.0
_PARTS_SQL = (
    "SELECT count(), max(parts) FROM (SELECT count() AS parts FROM system.parts"
    " WHERE active AND database = 'tapcart_raw' GROUP BY table, partition)"
)


class LostError(AssertionError):
    """A post was not answered 200, or an acknowledged marker never came."""


@dataclass(frozen=True, slots=True)
class Run:
    """The results of one steady rate."""

    rate: float
    seconds: float
    seen: Seen
    usage: Usage
    parts: list[int]  # the most active parts of one day of one table, read every few seconds
    asks: bool = True  # whether ClickHouse was queried for events

    @property
    def is_lossless(self) -> bool:
        """Whether every post was answered 200, and every marker came."""
        return not self.seen.refused and not self.seen.missing

    @property
    def is_fresh(self) -> bool:
        """Whether events could be queried in time; without a backlog that only grows."""
        third = len(self.seen.queryable) // 3
        late = percentile(self.seen.queryable[-third:], 0.99) if third else inf
        return self.is_lossless and max(late, percentile(self.seen.queryable, 0.99)) < FRESH_SECONDS_MAX


@contextmanager
def fresh_stack() -> Iterator[Stack]:
    """Yield a new stack that has served some traffic."""
    with tempfile.TemporaryDirectory(prefix="tapline-bench-") as folder:
        stack = Stack(Path(folder)).start()
        try:
            steady(stack, _WARM_RATE, _WARM_SECONDS)
            yield stack
        finally:
            stack.stop()


def steady(
    stack: Stack, rate: float, seconds: float, late_seconds_max: float = inf, *, asks: bool = True
) -> Run:
    """Send that many events per second for that long, or until one is later than that.

    `asks`: query for events, to see when each is there.
    """
    say(f"{rate:,.0f} events/s for {seconds:,.0f} s{'' if asks else ', without queries'}")
    traffic = Traffic(stack.ingest_url, stack.clickhouse_url, late_seconds_max, asks=asks)
    with _parts(stack) as parts:
        meter = Meter(stack)
        seen, usage = asyncio.run(traffic.send(rate, seconds, meter.read))
    run = Run(rate, seconds, seen, usage, parts, asks)
    say(
        f"  answers p99 {percentile(seen.answers, 0.99) * 1e3:.1f} ms, queryable p99"
        f" {percentile(seen.queryable, 0.99):.2f} s, ClickHouse {usage.cores['clickhouse']:.0%} of a core,"
        f" machine {usage.machine:.0%}{'' if run.is_lossless else ', not all in time'}"
    )
    return run


def check(runs: Sequence[Run]) -> None:
    """Raise LostError if a post or a marker of these runs was lost."""
    lost = [
        f"{run.rate:,.0f}/s: {run.seen.refused}, {run.seen.missing}" for run in runs if not run.is_lossless
    ]
    if lost:
        raise LostError(f"answers and markers lost at {'; '.join(lost)}")


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


def figures(cases: Sequence[Sequence[Run]]) -> list[str]:
    """Return the table of all figures; each case is one rate, with a run per round."""
    names = list(cases[0][0].usage.cores)
    header = ["", *(_words(runs[0]) for runs in cases)]
    rows = [
        ["answers: p50, p99, max, ms", *(_three([r.seen.answers for r in runs], 1e3) for runs in cases)],
        ["queryable: p50, p99, max, s", *(_three([r.seen.queryable for r in runs], 1) for runs in cases)],
        ["not 200; markers that never came", *(_lost(runs) for runs in cases)],
        [
            "one question for markers, p50, ms",
            *(_three([r.seen.questions for r in runs], 1e3).split(",")[0] for runs in cases),
        ],
        [
            "questions for markers, per s",
            *(f"{sum(len(r.seen.questions) / r.seconds for r in runs) / len(runs):.1f}" for runs in cases),
        ],
        ["a post sent late, at most, ms", *(f"{max(r.seen.late for r in runs) * 1e3:.0f}" for runs in cases)],
        ["machine", *(spread(r.usage.machine * 100 for r in runs).text() + "%" for runs in cases)],
        ["disk", *(spread(r.usage.disk * 100 for r in runs).text() + "%" for runs in cases)],
        [
            "most parts of one day of one table",
            *(str(max(max(r.parts, default=0) for r in runs)) for runs in cases),
        ],
        *([f"{name}: of a core; MiB", *(_process(runs, name) for runs in cases)] for name in names),
    ]
    return table(header, rows)


def _words(run: Run) -> str:
    return f"{run.rate:,.0f}/s, {run.seconds:,.0f} s{'' if run.asks else ', without queries'}"


def _three(rounds: Sequence[Sequence[float]], unit: float) -> str:
    if not any(rounds):
        return "-"
    shares = (0.5, 0.99, 1)
    return ", ".join(
        f"{spread(percentile(one, share) for one in rounds).median * unit:.2f}" for share in shares
    )


def _lost(runs: Sequence[Run]) -> str:
    refused = sum(sum(run.seen.refused.values()) for run in runs)
    return f"{refused}; {sum(run.seen.missing for run in runs)}"


def _process(runs: Sequence[Run], name: str) -> str:
    cores, memory = (spread(found) for found in zip(*(_of(run.usage, name) for run in runs), strict=True))
    return f"{cores.times(100).median:.0f}%; {memory.median:.0f}"


def _of(usage: Usage, name: str) -> tuple[float, float]:
    return usage.cores[name], usage.memory_mib[name]
