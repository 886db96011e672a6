"""Events of many days -> the cost of replays, beside events of one day.

`replay --from`: events in the topic, as a user's command loads them again. Cost is CPU of the command and of
ClickHouse, until merges rest, less that of a replay of nothing; other load on the machine changes it little.
`replay --untyped`: 300 rows of a type that just got a schema; seconds of the user's command. Invariant: all
rows are counted afterwards.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from consumers.warehouse.analytics import visits
from consumers.warehouse.clickhouse import ClickHouseStore
from consumers.warehouse.tables import RAW
from consumers.warehouse.tables import Options as TableOptions
from consumers.warehouse.tables import tables as tables_of
from tests.bench import cores, services
from tests.bench.options import Options
from tests.bench.report import Goal, Section, goal, say, spread, table
from tests.bench.shoppers import Events, produce
from tests.bench.usage import cpu_seconds
from tests.support.process import SAMPLES
from tests.support.site import Site
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import CATALOG, Tables, make_topics

_DAYS = 4, 40, 400  # of a smoke run, a usual one, a long one
_PER_DAY = 20, 500, 500
_ROWS, _UNTYPED_DAYS = (20, 300, 300), (4, 40, 40)
_UNTYPED_MOST, _FROM_MOST = 5.0, 3.0
_REST_SECONDS_MAX = 300.0
_DAY_MS = 86_400_000
_FIRST_RECEIVED_MS = 18_000 * _DAY_MS  # of the first case; each was received on a day of its own
_LAST_MS = 1_760_000_000_000
_OPENED: dict[str, Any] = json.loads((SAMPLES / "AppOpened.json").read_text())
_ONE, _ORDER, _ANY = "one day", "in order", "in any order"
_SQL_ROWS = "SELECT count() FROM tapcart.events WHERE startsWith(app_id, '{}')"


class LostError(AssertionError):
    """The tables lack rows that a replay should have written."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one replay."""

    cpu: float  # seconds per event
    seconds: float


def run(options: Options) -> Section:
    """Measure both commands. Raises: LostError."""
    days, per_day = options.pick(*_DAYS), options.pick(*_PER_DAY)
    reloaded = _reloads(days, days * per_day, options.rounds)
    rows, untyped_days = options.pick(*_ROWS), options.pick(*_UNTYPED_DAYS)
    typed = _typed(rows, untyped_days, options.rounds)
    about = (
        f"{options.rounds} rounds; replay --from of {days * per_day:,} events, {per_day} a day;"
        f" replay --untyped of {rows} rows."
    )
    lines = [
        *table(
            ("replay --from", "CPU of replay and ClickHouse, us per event", "s"),
            [
                [
                    name if name == _ONE else f"{days} days, {name}",
                    spread(cost.cpu * 1e6 for cost in costs).text(1),
                    spread(cost.seconds for cost in costs).text(1),
                ]
                for name, costs in reloaded.items()
            ],
        ),
        "",
        *table(
            ("replay --untyped", "s"),
            [[f"{count} days" if count > 1 else _ONE, spread(took).text(2)] for count, took in typed.items()],
        ),
    ]
    goals = [*_goals(reloaded, days)]
    ratio = spread(typed[untyped_days]).ratio(spread(typed[1]))
    goals.append(goal(f"replay --untyped of {untyped_days} days to one day, s", ratio, most=_UNTYPED_MOST))
    return Section("days", "Many days", about, goals, lines)


def _goals(found: dict[str, list[Cost]], days: int) -> Iterator[Goal]:
    cpu = {name: spread(cost.cpu for cost in costs) for name, costs in found.items()}
    words = f"replay --from of {days} days"
    yield goal(f"{words} in order to one day, CPU", cpu[_ORDER].ratio(cpu[_ONE]), most=_FROM_MOST)
    yield goal(f"{words} in any order to in order, CPU", cpu[_ANY].ratio(cpu[_ORDER]), most=_FROM_MOST)


def _reloads(days: int, count: int, rounds: int) -> dict[str, list[Cost]]:
    def in_order(number: int, all_of_them: int, _rng: random.Random) -> int:
        return number * days // all_of_them

    cases = {
        _ONE: Events("one-", count),
        _ORDER: Events("order-", count, day=in_order),
        _ANY: Events("any-", count, day=lambda _number, _count, rng: rng.randrange(days)),
    }
    found: dict[str, list[Cost]] = {name: [] for name in cases}
    with services.running("kafka,clickhouse", on=cores.ALL) as (stack, _):
        make_topics(stack.kafka)
        ClickHouseStore(stack.clickhouse_url, tables_of(CATALOG), TableOptions(), 60).make_tables()
        received = {}
        for place, (name, events) in enumerate(cases.items()):
            received[name] = _FIRST_RECEIVED_MS + place * 2 * _DAY_MS
            produce(stack.kafka, events, received[name] + _DAY_MS // 2)
        for _ in range(rounds):
            nothing, _ = _reload(stack, _FIRST_RECEIVED_MS - 9 * _DAY_MS)
            for name, events in cases.items():
                _truncate(stack)
                cpu, seconds = _reload(stack, received[name])
                there = Tables(stack.clickhouse_url).one(_SQL_ROWS.format(events.prefix))
                if there != count:
                    raise LostError(f"{name}: {there} of {count} events are there")
                found[name].append(Cost(max(0.0, cpu - nothing) / count, seconds))
                say(f"replay --from, {name}: {found[name][-1].cpu * 1e6:.1f} us per event, {seconds:.1f} s")
    return found


def _reload(stack: Stack, day_ms: int) -> tuple[float, float]:
    """Return seconds of CPU until merges rest, and of the command, for a replay of a day of arrival."""
    first, end = (datetime.fromtimestamp((day_ms + ms) / 1000, UTC) for ms in (0, _DAY_MS))
    dates = ["--from", f"{first:%Y-%m-%d}", "--to", f"{end:%Y-%m-%d}"]
    env = {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "CLICKHOUSE_URL": stack.clickhouse_url}
    engine, tables = psutil.Process(stack.pid("clickhouse")), Tables(stack.clickhouse_url)
    before, ours, began = cpu_seconds(engine), _children_seconds(), time.monotonic()
    command = [sys.executable, "-m", "consumers.replay", *dates]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | stack.env | env, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise LostError(f"replay failed: {done.stderr[-2000:]}")
    eventually(lambda: tables.one("SELECT count() FROM system.merges") == 0, _REST_SECONDS_MAX, "rest")
    return cpu_seconds(engine) - before + _children_seconds() - ours, seconds


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _truncate(stack: Stack) -> None:
    asked = Tables(stack.clickhouse_url)
    for name in (*(one.name for one in tables_of(CATALOG)), visits.NAME):
        asked.run(f"TRUNCATE TABLE {RAW}.{name}")


def _typed(rows: int, days: int, rounds: int) -> dict[int, list[float]]:
    """Return the seconds of `replay --untyped` by the number of days."""
    found: dict[int, list[float]] = {1: [], days: []}
    with tempfile.TemporaryDirectory(prefix="tapline-bench-") as folder:
        site = Site(Path(folder), "kafka,clickhouse,warehouse,ingest")
        site.stack.start()
        try:
            kinds = {
                (number, count): f"Bench{number}Of{count}" for number in range(rounds) for count in found
            }
            for (_, count), kind in kinds.items():
                site.post(*(_untyped(kind, number, count) for number in range(rows)))
            total = rows * len(kinds)
            site.tables.wait("SELECT count() FROM tapcart.unmodelled", total, 60)
            site.run("schemas", "infer", "--out", site.folder / "proposed")
            site.run("schemas", "add", site.folder / "proposed")
            for (_, count), kind in kinds.items():
                began = time.monotonic()
                said = site.run("consumers.replay", "--untyped", "--event-type", kind)
                found[count].append(time.monotonic() - began)
                if said != f"{kind}: {rows} rows moved out of unmodelled\n":
                    raise LostError(f"{kind}: {said}")
                say(f"replay --untyped, {count} days: {found[count][-1]:.2f} s")
        finally:
            site.stack.stop()
    return found


def _untyped(kind: str, number: int, days: int) -> dict[str, Any]:
    return _OPENED | {
        "event_type": kind,
        "event_id": f"{kind}-{number}",
        "metadata": {"schema_id": f"Event_{kind}_5_0_0"},
        "timestamp": _LAST_MS - number % days * _DAY_MS,
    }
