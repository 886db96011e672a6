"""ClickHouse, app and Monday -> the numbers of a merchant's week, each from one analytics view.

Invariants: reads only the public views; values reach ClickHouse as parameters, never as SQL. Source:
consumers/warehouse/analytics/README.md defines every number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
from msgspec import json

from runtime.command import CommandError

Rows = Sequence[Sequence[Any]]

_REQUEST_SECONDS_MAX = 60.0
# URL parameters are parsed as fields of TabSeparated.
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})
# The parts of queries.sql: a line with a name, then its query.
_QUERIES = {
    name: sql.strip()
    for part in Path(__file__).with_name("queries.sql").read_text().split("-- ")[1:]
    for name, _, sql in [part.partition("\n")]
}


class ReportError(CommandError):
    """There is nothing to report, or ClickHouse does not answer; the text names the remedy."""


@dataclass(frozen=True)
class Week:
    """A merchant's week."""

    app: str
    monday: date
    rows: dict[str, Rows]  # by query name

    @property
    def sunday(self) -> date:
        """The last day."""
        return self.monday + timedelta(days=6)


def week(clickhouse: str, app: str, day: date | None) -> Week:
    """Read the week of a day. Default app: the one with most devices; default day: the latest.

    Raises: ReportError.
    """
    with httpx.Client(base_url=clickhouse, timeout=_REQUEST_SECONDS_MAX, trust_env=False) as client:
        found, monday = _chosen(client, app, day)
        given = {"app": found, "monday": monday.isoformat()}
        return Week(found, monday, {name: _ask(client, sql, given) for name, sql in _QUERIES.items()})


def _chosen(client: httpx.Client, app: str, day: date | None) -> tuple[str, date]:
    """Return an app that has events, and the Monday of the week."""
    conditions = [
        *(["app_id = {app:String}"] if app else []),
        *(["toMonday(day) = toMonday({day:Date})"] if day else []),
    ]
    where = f"WHERE dau > 0 AND {' AND '.join(conditions)}" if conditions else "WHERE dau > 0"
    sql = f"""
SELECT app_id, toString(toMonday(day)) AS monday FROM tapcart.active_devices_daily {where}
GROUP BY app_id, monday ORDER BY monday DESC, sum(dau) DESC, app_id LIMIT 1"""  # noqa: S608 - our conditions
    rows = _ask(client, sql, {"app": app, "day": f"{day or date.min}"})
    if not rows:
        whose = f"of app {app} " if app else ""
        when = f"in the week of {day}" if day else "yet"
        raise ReportError(f"there are no events {whose}{when}; `make demo` sends some")
    return rows[0][0], date.fromisoformat(rows[0][1])


def _ask(client: httpx.Client, sql: str, given: dict[str, str]) -> Rows:
    settings = {f"param_{name}": value.translate(_ESCAPES) for name, value in given.items()}
    settings |= {
        "default_format": "JSONCompact",
        "readonly": "2",
        "output_format_json_quote_64bit_integers": "0",
    }
    try:
        answer = client.post("/", params=settings, content=sql.encode())
    except httpx.HTTPError as error:
        raise ReportError(f"ClickHouse does not answer ({error}); is `make run` running?") from error
    if answer.is_error:
        raise ReportError(f"ClickHouse refused a query: {answer.text.strip()[:500]}")
    rows: Rows = json.decode(answer.content)["data"]
    return rows
