"""Loaders side by side -> rows per second from the same topic into tables made by the same statements.

ClickHouse has a core to itself, so its own speed with the same bytes is the limit; the loader and Kafka share
the other. Every loader starts with empty tables, where the rows that it claims to have loaded are counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from consumers.warehouse.analytics import visits
from consumers.warehouse.clickhouse import ClickHouseStore
from consumers.warehouse.tables import RAW, Options, tables
from tests.bench import cores, plots, records, services
from tests.bench.contender import Contender, python
from tests.bench.options import Options as Asked
from tests.bench.report import Section, goal, say, spread, table
from tests.support.waiting import eventually
from tests.support.warehouse import CATALOG, Loader, Tables

_NAMES = ("limit", "limit with visits", "naive", "usual", "tapline")
_LONG_ONLY = ("limit", "usual")
_ROWS, _LONG_ROWS, _SMOKE_ROWS = 300_000, 1_000_000, 5_000
_SLOW_SHARE = 10
_SECONDS_MAX = 300.0


class LostError(AssertionError):
    """The tables lack rows that a loader claims to have loaded."""


@dataclass(frozen=True, slots=True)
class Place:
    """The addresses and folders of a run."""

    kafka: str
    clickhouse: str
    folder: Path
    rows: int  # in the topic

    @property
    def slow_rows(self) -> int:
        """The share that a slow loader loads: its speed does not depend on the number."""
        return self.rows // _SLOW_SHARE


def run(options: Asked) -> Section:
    """Measure all loaders. Raises: LostError."""
    with (
        services.running("kafka") as (broker, folder),
        services.running("clickhouse", on=cores.MEASURED) as (engine, _),
        cores.on(cores.OTHERS),
    ):
        at = Place(broker.kafka, engine.clickhouse_url, folder, options.pick(_SMOKE_ROWS, _ROWS, _LONG_ROWS))
        names = [name for name in _NAMES if options.smoke or options.long or name not in _LONG_ONLY]
        say(f"writing {at.rows:,} records")
        records.write(at.kafka, folder, at.rows)
        ClickHouseStore(at.clickhouse, tables(CATALOG), Options(), 60).make_tables()
        measured: dict[str, list[float]] = {name: [] for name in names}
        for number in range(1, options.rounds + 1):
            for name in names:
                measured[name].append(_rate(name, at, number))
                say(f"round {number} of {options.rounds}: {name}: {measured[name][-1]:,.0f} rows/s")
    rates = {name: spread(values) for name, values in measured.items()}
    if not options.smoke:
        title = "Loaders: rows/s out of Kafka into ClickHouse, which has one core"
        plots.bars("loaders", title, "rows/s", rates)
    about = (
        f"{options.rounds} rounds; {at.rows:,} records of all types, {at.slow_rows:,} for naive and usual."
    )
    wanted = (("limit", 0.9), ("limit with visits", 0.75), ("naive", 6.0))
    goals = [
        goal(f"rows/s to {name}", rates["tapline"].ratio(rates[name]), least=least)
        for name, least in wanted
        if name in rates
    ]
    lines = table(("loader", "rows/s"), [[name, rate.text()] for name, rate in rates.items()])
    return Section("loaders", "Loaders", about, goals, lines)


def _rate(name: str, at: Place, number: int) -> float:
    """Return rows per second."""
    own = at.folder / f"{name}-{number}"
    own.mkdir()
    if name.startswith("limit"):
        rows, seconds = _limit(at, own, name.split()[1:])
        return _checked(name, at.rows, rows) / seconds
    _truncate(at)
    if name == "tapline":
        seconds, rows = _tapline(at, own), at.rows
    else:
        env = {"BENCH_KAFKA": at.kafka, "CLICKHOUSE_URL": at.clickhouse, "BENCH_ROWS": str(at.slow_rows)}
        rows, seconds = _told(Contender(name, python(f"tests.bench.loaders.{name}"), own, env, cores.OTHERS))
    return _checked(name, rows, _count(at)) / seconds


def _limit(at: Place, folder: Path, words: Sequence[str]) -> tuple[int, float]:
    env = {"BENCH_MANIFEST": str(at.folder / "manifest.json"), "DATA_DIR": str(folder)}
    return _told(Contender("limit", python("tests.bench.loaders.limit", *words), folder, env))


def _told(program: Contender) -> tuple[int, float]:
    """Run a program to its end; return the rows and seconds that it prints."""
    program.start()
    try:
        program.wait(_SECONDS_MAX)
    finally:
        program.stop()
    rows, seconds = program.told().splitlines()[-1].split()
    return int(rows), float(seconds)


def _tapline(at: Place, folder: Path) -> float:
    """Return the seconds from readiness to the last row."""
    env = {"WAREHOUSE_GROUP": folder.name, "WAREHOUSE_BATCH_AGE_SECONDS_MAX": "0.5"}
    loader = Loader(at.kafka, at.clickhouse, folder, env)
    loader.start(wait=False)
    try:
        eventually(lambda: loader.metric("tapline_warehouse_held_bytes") > 0, 60, "the first record")
        began = perf_counter()
        rows = "tapline_warehouse_rows_total"
        eventually(lambda: loader.metric(rows) >= at.rows, _SECONDS_MAX, "the last row")
        return perf_counter() - began
    finally:
        loader.stop()


def _truncate(at: Place) -> None:
    asked = Tables(at.clickhouse)
    for name in (*(one.name for one in tables(CATALOG)), visits.NAME):
        asked.run(f"TRUNCATE TABLE {RAW}.{name}")


def _count(at: Place) -> int:
    asked = Tables(at.clickhouse)
    return sum(int(asked.one(f"SELECT count() FROM {RAW}.{one.name}")) for one in tables(CATALOG))


def _checked(name: str, claimed: int, there: int) -> int:
    if claimed != there:
        raise LostError(f"{name} should have loaded {claimed} rows, the tables have {there}")
    return there
