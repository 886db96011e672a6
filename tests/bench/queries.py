"""README's ready queries -> the cost of reading through the views, relative to the same views without FINAL.

Invariants: both sides run interleaved on the same rows in one ClickHouse, each once before it is timed. The
bare views are the loader's own statements without `FINAL` and its setting and with another database's name,
so they differ only in the removal of duplicates. Seconds are a client's waiting time; seconds of CPU are
ClickHouse's, which other load on the machine changes less.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil
from clickhouse_connect.driver.client import Client

from consumers.warehouse import views
from consumers.warehouse.analytics import views as analytics
from consumers.warehouse.tables import Options, Table
from tests.bench.options import Options as Asked
from tests.bench.report import say
from tests.support.stack import ROOT
from tests.support.warehouse import Tables

_BARE = "tapcart_bare"
_FINAL = re.compile(r" FINAL( SETTINGS do_not_merge_across_partitions_select_final = 1)?\b")
_QUERY = re.compile(r"```sql\n-- ([^\n]*)\n(.*?)```", re.DOTALL)
_FROM = re.compile(r"\bFROM (tapcart\.\w+)")


@dataclass(frozen=True, slots=True)
class Cost:
    """One query in one round: seconds, and ClickHouse's seconds of CPU."""

    view: float
    bare: float
    view_cpu: float
    bare_cpu: float


def ready() -> dict[str, str]:
    """Return the docs' queries by their comments."""
    text = (ROOT / "README.md").read_text() + (ROOT / "docs/queries.md").read_text()
    return {name: sql.strip() for name, sql in _QUERY.findall(text)}


def make_bare(client: Client, found: tuple[Table, ...]) -> None:
    """Create the views without FINAL."""
    client.command(f"CREATE DATABASE IF NOT EXISTS {_BARE}")
    for statement in views.views(found, Options()):
        if "CREATE OR REPLACE VIEW" in statement:
            client.command(bare(_FINAL.sub("", statement)))
    for _, statement in analytics.statements([table.name for table in found], Options()):
        client.command(bare(statement))


def bare(sql: str) -> str:
    """Return a query of the views as one of the bare views."""
    return re.sub(r"\btapcart\.", f"{_BARE}.", sql)


def of_days(sql: str, first: str, end: str, timed: frozenset[str]) -> str:
    """Return the query of the days from `first` until before `end`, using only the views `timed`."""

    def limited(match: re.Match[str]) -> str:
        within = (
            f"timestamp >= toDateTime64('{first}', 3, 'UTC') AND timestamp < toDateTime64('{end}', 3, 'UTC')"
        )
        return f"FROM (SELECT * FROM {match[1]} WHERE {within})" if match[1] in timed else match[0]

    return _FROM.sub(limited, sql)


def compare(tables: Tables, pid: int, queries: Mapping[str, str], asked: Asked) -> dict[str, list[Cost]]:
    """Return the cost of each query, round by round; `pid`: ClickHouse's process."""
    engine, found = psutil.Process(pid), {name: list[Cost]() for name in queries}
    for number in range(0 if asked.warm else 1, asked.rounds + 1):
        for name, sql in queries.items():
            sides = [sql, bare(sql)][:: 1 if number % 2 else -1]  # each side is first by turns
            costs = {side: _seconds(tables, engine, side) for side in sides}
            (view, view_cpu), (raw, raw_cpu) = costs[sql], costs[bare(sql)]
            if number:
                found[name].append(Cost(view, raw, view_cpu, raw_cpu))
        say(f"round {number} of {asked.rounds}" if number else "warm")
    return found


def _seconds(tables: Tables, engine: psutil.Process, sql: str) -> tuple[float, float]:
    before, began = engine.cpu_times(), time.perf_counter()
    tables.run(sql)
    seconds, after = time.perf_counter() - began, engine.cpu_times()
    # The kernel counts in hundredths.
    return seconds, max(0.01, after.user + after.system - before.user - before.system)
