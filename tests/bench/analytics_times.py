"""The four heavy analytics views -> seconds of a query over everything, and over one app and half the days.

The one app is the greatest, the days are the last. Source of the queries: README, docs/queries.md and the
README of the analytics views.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.report import Goal, Spread, goal, say, spread, table
from tests.support.warehouse import Tables

# By view: its column of time, and a query with a place for a condition.
_QUERIES = {
    "funnel": ("day", "SELECT * FROM tapcart.funnel_daily{} ORDER BY day DESC LIMIT 100"),
    "sessions": (
        "started_at",
        "SELECT source, utm_campaign, count(), countIf(converted) FROM tapcart.sessions{} GROUP BY ALL",
    ),
    "attribution": (
        "day",
        "SELECT touch, utm_campaign, currency_code, sum(orders) FROM tapcart.attribution{} GROUP BY ALL",
    ),
    "abandoned carts": (
        "day",
        "SELECT * FROM tapcart.carts_abandoned{} ORDER BY abandoned_at DESC LIMIT 20",
    ),
}
_GREATEST = "SELECT app_id FROM tapcart.product_viewed GROUP BY app_id ORDER BY count() DESC LIMIT 1"
_ROWS, _SECONDS_MOST, _ONE_APP_MOST = 20_000_000, 1.5, 0.1
_PLANNING_SECONDS = 0.2  # of the slowest of them on nearly empty tables


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one view's queries."""

    everything: Spread
    one_app: Spread


def measure(tables: Tables, since: str, rounds: int) -> dict[str, Times]:
    """Return the seconds by view, over all rows, and over one app's from the day `since` on."""
    app = tables.one(_GREATEST)
    found: dict[tuple[str, bool], list[float]] = {}
    for number in range(rounds + 1):  # the first warms
        for name, (column, sql) in _QUERIES.items():
            for is_one in (False, True):
                where = f" WHERE app_id = '{app}' AND {column} >= '{since}'" if is_one else ""
                began = time.perf_counter()
                tables.run(sql.format(where))
                if number:
                    found.setdefault((name, is_one), []).append(time.perf_counter() - began)
    times = {name: Times(spread(found[name, False]), spread(found[name, True])) for name in _QUERIES}
    for name, one in times.items():
        say(f"{name}: {one.everything.text(2)} s; of one app {one.one_app.text(2)} s")
    return times


def goals(times: Mapping[str, Times], rows: int) -> list[Goal]:
    """Return the goals: for fewer rows than 20 million, as much less time, but for planning."""
    most = _PLANNING_SECONDS + (_SECONDS_MOST - _PLANNING_SECONDS) * min(1.0, rows / _ROWS)
    words = "all apps and days" if rows >= _ROWS else f"of {rows:,} rows (1.5 s of 20 million)"
    return [goal(f"{name}, {words}, s", one.everything, most=round(most, 3)) for name, one in times.items()]


def lines(times: Mapping[str, Times]) -> Sequence[str]:
    """Return the table of all times."""
    header = (
        "view",
        "all apps and days, ms",
        f"one app, half of the days, ms (<= {_ONE_APP_MOST * 1e3:g} is as good)",
    )
    rows = [
        [name, one.everything.times(1e3).text(), one.one_app.times(1e3).text()] for name, one in times.items()
    ]
    return table(header, rows)
