"""More rows, apps, types -> the cost of an event in loader and ClickHouse, beside the smallest case.

Each case has a number of events in the topic. The loader, started as an operator starts it, loads them into
the real tables until all can be queried and no merge is running. Cost is CPU of loader and ClickHouse
together, which other load on the machine changes little; rows/s is printed beside it. Invariant: every event
is counted afterwards. `days.py` measures many days.
"""

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.bench import cores, services
from tests.bench.dataset import DataSet, Shape
from tests.bench.options import Options
from tests.bench.report import Section, goal, say, spread, table
from tests.bench.shoppers import Events, produce
from tests.bench.usage import cpu_seconds
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Loader, Tables, make_topics

_EVENTS = 2_000, 40_000, 200_000  # of a smoke run, a usual one, a long one
_FEW, _MANY, _SMOKE_MANY = 1_000_000, 20_000_000, 20_000
_APPS = 10_000
_LOADED_SECONDS_MAX = 600.0
_REST_SECONDS_MAX = 120.0
# An operator's batches; and a group that waits for a stopped member.
_LOADER = {"WAREHOUSE_BATCH_AGE_SECONDS_MAX": "0.5", "KAFKA_SESSION_TIMEOUT_MS": "300000"}
_ENGINE = {
    "CLICKHOUSE_QUERY_SECONDS_MAX": "3600",
    "CLICKHOUSE_QUERY_MEMORY_BYTES_MAX": str(4 << 30),
    "CLICKHOUSE_MEMORY_BYTES_MAX": str(6 << 30),
}


@dataclass(frozen=True, slots=True)
class Case:
    """The difference between two measurements."""

    name: str
    rows: int = 0  # existing rows
    apps: int = 1
    types: int = 14


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one case in one round."""

    cpu: float  # seconds per event
    rate: float  # rows/s until queryable


_BASE = "one app, one day, empty tables"
_CASES = (
    Case(_BASE),
    Case("10,000 apps by Zipf", apps=_APPS),
    Case("one type", types=1),
    Case("1 million rows", rows=_FEW),
    Case("20 million rows", rows=_MANY),
)
# (description, case, reference case, largest allowed ratio)
_GOALS = (
    ("from 1 to 20 million rows", "20 million rows", "1 million rows", 1.1),
    ("from 1 to 10,000 apps", "10,000 apps by Zipf", _BASE, 1.1),
    ("from 1 to 14 types", _BASE, "one type", 1.1),
)


class LostError(AssertionError):
    """The tables lack events of a case."""


def run(options: Options) -> Section:
    """Measure all cases, round by round. Raises: LostError."""
    # Millions of rows take minutes to write.
    cases = [case for case in _CASES if options.smoke or options.long or not case.rows]
    found: dict[str, list[Cost]] = {case.name: [] for case in cases}
    count = options.pick(*_EVENTS)
    with services.running("kafka,clickhouse", _ENGINE, on=cores.ALL) as (stack, folder):

        def measure(case: Case, number: int) -> None:
            cost = _cost(stack, folder, case, count, number)
            found[case.name].append(cost)
            say(f"{case.name}: {cost.cpu * 1e6:.1f} us of CPU per event, {cost.rate:,.0f} rows/s")

        make_topics(stack.kafka)
        for number in range(options.rounds):
            for case in (one for one in cases if not one.rows):
                measure(case, number)
        for case in (one for one in cases if one.rows):
            data = DataSet(stack.clickhouse_url, Shape(rows=_rows(case, options), open_days=0))
            data.empty()
            data.make_sample()
            data.fill(range(data.shape.days), 1)
            data.settle(range(data.shape.days))
            for number in range(options.rounds):
                measure(case, number)
    cpu = {name: spread(cost.cpu for cost in costs) for name, costs in found.items()}
    goals = [
        goal(words, cpu[case].ratio(cpu[base]), most=most)
        for words, case, base, most in _GOALS
        if case in cpu
    ]
    rows = [
        [name, cpu[name].times(1e6).text(1), spread(cost.rate for cost in costs).text()]
        for name, costs in found.items()
    ]
    about = f"{count:,} events, loaded until all can be queried and merges rest."
    lines = table(("case", "CPU of loader and engine, us per event", "rows/s"), rows)
    return Section("growth", "Growth", about, goals, lines)


def _rows(case: Case, options: Options) -> int:
    return min(case.rows, _SMOKE_MANY) if options.smoke else case.rows


def _cost(stack: Stack, folder: Path, case: Case, count: int, number: int) -> Cost:
    tables, prefix = Tables(stack.clickhouse_url), f"growth-{number}-{_CASES.index(case)}-"
    loader = Loader(stack.kafka, stack.clickhouse_url, folder, _LOADER).start()
    try:
        # It has created its tables, which is no event's cost; all events are there when it resumes.
        loader.process.send_signal(signal.SIGSTOP)
        produce(stack.kafka, Events(prefix, count, case.apps, case.types))
        both = [psutil.Process(pid) for pid in (loader.process.pid, stack.pid("clickhouse"))]
        before, began = sum(map(cpu_seconds, both)), time.monotonic()
        loader.process.send_signal(signal.SIGCONT)
        rows = "tapline_warehouse_rows_total"
        eventually(lambda: loader.metric(rows) >= count, _LOADED_SECONDS_MAX, "the last row")
        seconds = time.monotonic() - began
        eventually(lambda: tables.one("SELECT count() FROM system.merges") == 0, _REST_SECONDS_MAX, "rest")
        cpu = sum(map(cpu_seconds, both)) - before
    finally:
        loader.process.send_signal(signal.SIGCONT)
        loader.stop()
    there = tables.one(f"SELECT count() FROM tapcart.events WHERE startsWith(app_id, '{prefix}')")
    if there != count:
        raise LostError(f"{case.name}: {there} of {count} events are there")
    return Cost(cpu / count, count / seconds)
