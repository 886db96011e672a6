"""More rows, apps, types, days -> the cost of an event in loader and ClickHouse, beside the smallest case.

Each case has a number of events in the topic. The loader, started as an operator starts it, loads them into
the real tables until all can be queried and no merge is running. Cost is CPU of loader and ClickHouse
together, which other load on the machine changes little; rows/s is printed beside it. Invariant: every event
is counted afterwards.
"""

import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import msgspec
import psutil
from confluent_kafka import Producer

from deploy.demo.generator import Plan, generate
from runtime.kafka import topics
from tests.bench import cores, services
from tests.bench.dataset import DAY_MS, START_MS, DataSet, Shape
from tests.bench.options import Options
from tests.bench.report import GOALS, Section, goal, say, spread, table
from tests.bench.usage import cpu_seconds
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Loader, Tables, crc, decoded, make_topics

_EVENTS, _SMOKE_EVENTS = 200_000, 2_000
_EVENTS_OF_MANY_DAYS = 1_600_000  # 4,000 a day
_SAMPLE = 20_000
_FEW, _MANY, _SMOKE_MANY = 1_000_000, 20_000_000, 20_000
_APPS, _DAYS = 10_000, 400
_FIRST_MS = START_MS + 90 * DAY_MS  # after the existing rows
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
    events: int = _EVENTS
    day: Callable[[int, int, random.Random], int] = field(default=lambda _number, _count, _rng: 0)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one case in one round."""

    cpu: float  # seconds per event
    rate: float  # rows/s until queryable


def _in_order(number: int, count: int, _rng: random.Random) -> int:
    return number * _DAYS // count


_BASE = "one app, one day, empty tables"
_CASES = (
    Case(_BASE),
    Case("10,000 apps by Zipf", apps=_APPS),
    Case("one type", types=1),
    Case("400 days of 500 events, as they came", day=_in_order),
    Case("400 days of 4,000 events, as they came", events=_EVENTS_OF_MANY_DAYS, day=_in_order),
    Case("400 days of 500 events, in any order", day=lambda _number, _count, rng: rng.randrange(_DAYS)),
    Case("1 million rows", rows=_FEW),
    Case("20 million rows", rows=_MANY),
)
# (description, case, reference case, largest allowed ratio)
_GOALS = (
    ("from 1 to 20 million rows", "20 million rows", "1 million rows", 1.1),
    ("from 1 to 10,000 apps", "10,000 apps by Zipf", _BASE, 1.1),
    ("from 1 to 14 types", _BASE, "one type", 1.1),
    *((f"a replay of {case.name}", case.name, _BASE, 2.0) for case in _CASES if "400 days" in case.name),
)


class LostError(AssertionError):
    """The tables lack events of a case."""


def run(options: Options) -> Section:
    """Measure all cases, round by round. Raises: LostError."""
    found: dict[str, list[Cost]] = {case.name: [] for case in _CASES}
    with services.running("kafka,clickhouse", _ENGINE, on=cores.ALL) as (stack, folder):
        make_topics(stack.kafka)
        for case in _CASES:
            data = DataSet(stack.clickhouse_url, Shape(rows=_rows(case, options), open_days=0))
            data.make_sample()
            if case.rows:
                data.fill(range(data.shape.days), 1)
                data.settle(range(data.shape.days))
            for number in range(1, options.rounds + 1):
                count = _SMOKE_EVENTS if options.smoke else case.events
                cost = _cost(stack, folder, case, count, number)
                found[case.name].append(cost)
                say(f"{case.name}: {cost.cpu * 1e6:.1f} us of CPU per event, {cost.rate:,.0f} rows/s")
            data.empty()
    return Section("growth", "Growth", [*_lines(found)])


def _rows(case: Case, options: Options) -> int:
    return min(case.rows, _SMOKE_MANY) if options.smoke else case.rows


def _cost(stack: Stack, folder: Path, case: Case, count: int, number: int) -> Cost:
    tables, prefix = Tables(stack.clickhouse_url), f"growth-{number}-{_CASES.index(case)}-"
    loader = Loader(stack.kafka, stack.clickhouse_url, folder, _LOADER).start()
    try:
        # It has created its tables, which is no event's cost; all events are there when it resumes.
        loader.process.send_signal(signal.SIGSTOP)
        _produce(stack.kafka, case, prefix, count)
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


def _produce(kafka: str, case: Case, prefix: str, count: int) -> None:
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "partitioner": topics.PARTITIONER,
            "linger.ms": 50,
            **topics.COMPRESSION,
            "queue.buffering.max.messages": 2 * count,
        }
    )
    for body in _bodies(case, prefix, count):
        event = decoded(body)
        value = event.encode(START_MS)
        producer.produce(topics.EVENTS, value, event.app_id.encode(), headers=[*crc(value)])
        producer.poll(0)
    assert producer.flush(120) == 0


def _bodies(case: Case, prefix: str, count: int) -> Iterator[bytes]:
    rng = random.Random(1)
    plan = Plan(START_MS, START_MS + DAY_MS, apps=1, events_per_day=_SAMPLE)
    sample = [msgspec.json.decode(post.body) for post in generate(plan) if post.kind == "event"]
    if case.types == 1:
        sample = [event for event in sample if event["event_type"] == "ProductViewed"]
    sample = [event for event in sample if START_MS <= event["timestamp"] < START_MS + DAY_MS]
    weights = [*accumulate(1 / rank for rank in range(1, case.apps + 1))]
    app_of: defaultdict[str, int] = defaultdict(lambda: rng.choices(range(case.apps), cum_weights=weights)[0])
    for number in range(count):
        again, place = divmod(number, len(sample))
        event = sample[place]
        # They differ each time, and a device belongs to one app: every case has as many sessions.
        device, session = (f"{event[name]}-{again}" for name in ("device_id", "session_id"))
        at_ms = event["timestamp"] - START_MS + _FIRST_MS + case.day(number, count, rng) * DAY_MS
        yield msgspec.json.encode(
            event
            | {
                "event_id": f"{prefix}{number}",
                "app_id": f"{prefix}{app_of[device]}",
                "device_id": device,
                "session_id": session,
                "timestamp": at_ms,
            }
        )


def _lines(found: dict[str, list[Cost]]) -> Iterator[str]:
    yield "Loaded until all can be queried and merges rest."
    yield ""
    cpu = {name: spread(cost.cpu for cost in costs) for name, costs in found.items()}
    yield from table(
        GOALS, [goal(words, cpu[case].ratio(cpu[base]), most=most) for words, case, base, most in _GOALS]
    )
    yield ""
    rows = [
        [
            case.name,
            f"{case.events:,}",
            spread(cost.cpu * 1e6 for cost in found[case.name]).text(1),
            spread(cost.rate for cost in found[case.name]).text(),
        ]
        for case in _CASES
    ]
    yield from table(("case", "events", "CPU of loader and engine, us per event", "rows/s"), rows)
