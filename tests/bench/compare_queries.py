"""README's queries through the views, beside the same without FINAL -> ratios, on settled and other days.

A settled day lies in one part, as it does some minutes after its last event. The other days lie in three
parts, as events arrived, with late ones, and a hundredth of them twice.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

from tests.bench import analytics_times, cores, queries, services
from tests.bench.dataset import DAY_MS, START_MS, DataSet, Shape
from tests.bench.options import Options
from tests.bench.queries import Cost
from tests.bench.report import Goal, Section, Spread, goal, say, spread, table
from tests.support.warehouse import Tables

_SMOKE = Shape(days=4, rows=8_000, apps=5, open_days=2)
_ENGINE = {
    "CLICKHOUSE_QUERY_SECONDS_MAX": "3600",
    "CLICKHOUSE_QUERY_MEMORY_BYTES_MAX": str(4 << 30),
    "CLICKHOUSE_MEMORY_BYTES_MAX": str(6 << 30),
}
_ROWS = 3_000_000, 20_000_000  # of a usual run, a long one
_SETTLED_MOST, _OPEN_MOST = 1.1, 3.0
_EXTRA, _EXTRA_SETTLED_MOST = "extra != ''", 1.5
_MILLI = 1e3


class DifferError(AssertionError):
    """The views do not show every written event exactly once."""


def run(options: Options) -> Section:
    """Fill the tables and compare. Raises: DifferError."""
    shape = options.pick(_SMOKE, *(Shape(rows=rows) for rows in _ROWS))
    with services.running("clickhouse", _ENGINE, on=cores.ALL) as (stack, _):
        data, tables = DataSet(stack.clickhouse_url, shape), Tables(stack.clickhouse_url)
        _fill(data)
        queries.make_bare(data.client, data.tables)
        _check(data, tables)
        pid, span = stack.pid("clickhouse"), shape.days - shape.open_days
        timed = frozenset({f"tapcart.{table.name}" for table in data.typed} | {"tapcart.events"})
        ready = queries.ready()
        direct = {name: sql for name, sql in ready.items() if timed & set(sql.split())}
        settled = range(max(0, span - shape.open_days), span)
        compared = [
            {name: queries.of_days(sql, *_dates(days), timed) for name, sql in direct.items()}
            for days in (settled, range(span, shape.days))
        ]
        compared.append({name: sql for name, sql in ready.items() if name not in direct})
        found = [queries.compare(tables, pid, some, options) for some in compared]
        times = analytics_times.measure(tables, _dates(range(shape.days // 2, shape.days))[0], options.rounds)
    about = (
        f"{shape.rows:,} rows over {shape.days} days, {shape.apps} apps, all types; each query over"
        f" {shape.open_days} settled days, then over the {shape.open_days} days that lie in three parts;"
        " those of the analytics views over all days. Ratios are seconds through the views to seconds without"
        " FINAL."
    )
    goals = [*_goals(found, ready), *analytics_times.goals(times, shape.rows)]
    lines = [*analytics_times.lines(times), *_lines(found)]
    return Section("queries", "Queries through the views", about, goals, lines)


def _fill(data: DataSet) -> None:
    shape, settled = data.shape, range(data.shape.days - data.shape.open_days)
    say(f"filling {shape.rows:,} rows: a sample of {data.make_sample():,}")
    data.fill(settled, 1)
    say("settling")
    data.settle(settled)
    data.stop_merges()
    data.fill(range(settled.stop, shape.days), 3)


def _check(data: DataSet, tables: Tables) -> None:
    """Raise DifferError if a day lies in other parts than it should, or a view shows an event twice."""
    first = _dates(range(data.shape.days - data.shape.open_days, data.shape.days))[0].replace("-", "")
    names = ", ".join(f"'{table.name}'" for table in data.typed)
    parts = (
        "SELECT max(n) FROM (SELECT count() AS n FROM system.parts"
        f" WHERE active AND database = 'tapcart_raw' AND table IN ({names})"
    )
    for days, wanted in (("<", 1), (">=", 3)):
        most = tables.one(f"{parts} AND partition {days} '{first}' GROUP BY table, partition)")
        if most != wanted:
            raise DifferError(f"days {days} {first} lie in {most} parts instead of {wanted}")
    sums = [
        tables.rows(f"SELECT count(), uniqExact(event_type, event_id) FROM {name}.events")
        for name in ("tapcart", "tapcart_raw")
    ]
    (shown, events), (written, _) = (rows[0] for rows in sums)
    if shown != events or not shown < written:
        raise DifferError(f"the view shows {shown} rows of {events} events; {written} rows were written")


def _dates(days: range) -> tuple[str, str]:
    midnight = START_MS // DAY_MS
    first, end = (
        time.strftime("%Y-%m-%d", time.gmtime((midnight + day) * 86_400)) for day in (days.start, days.stop)
    )
    return first, end


_GROUPS = (("settled", _SETTLED_MOST), ("not settled", _OPEN_MOST), ("all days", _OPEN_MOST))


def _goals(found: Sequence[Mapping[str, Sequence[Cost]]], ready: Mapping[str, str]) -> Iterator[Goal]:
    for (words, most), found_of in zip(_GROUPS, found, strict=True):
        for name, costs in found_of.items():
            is_extra = _EXTRA in ready[name] and most == _SETTLED_MOST
            yield goal(f"{words}: {name}", _ratio(costs), most=_EXTRA_SETTLED_MOST if is_extra else most)


def _lines(found: Sequence[Mapping[str, Sequence[Cost]]]) -> Iterator[str]:
    for (words, _), found_of in zip(_GROUPS, found, strict=True):
        yield from ("", f"**{words}**", "")
        yield from table(
            ("query", "ratio", "view, ms", "without, ms", "ratio of CPU"),
            [
                [
                    name,
                    _ratio(costs).text(2),
                    spread(cost.view * _MILLI for cost in costs).text(),
                    spread(cost.bare * _MILLI for cost in costs).text(),
                    spread(cost.view_cpu / cost.bare_cpu for cost in costs).text(2),
                ]
                for name, costs in found_of.items()
            ],
        )


def _ratio(costs: Sequence[Cost]) -> Spread:
    return spread(cost.view / cost.bare for cost in costs)
