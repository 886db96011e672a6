"""Sent events and the views' contents -> complaints, none if every promise was kept.

Invariants: compares by SQL over everything (an acknowledged identity exactly once, an unacknowledged one at
most once, nothing else, the envelope as sent), and value by value for a large sample. Source: promises 1 to 3
in docs/architecture.md.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.catalog.catalog import Catalog
from schemas.catalog.table_names import table_name
from tests.faults.harness import values
from tests.faults.harness.expected import Sql
from tests.faults.harness.posts import CLICKSTREAM, FOREIGN, UNMODELLED, Posts
from tests.faults.harness.repair import REFUSED

FRESH_APP = "a7Kq2mXw9L"  # of the samples: an event of it measures freshness, no post of a run has it
_EXAMPLES = 5
_SAMPLE_CHUNK = 500

# One row per identity: expected count, actual count, whether all rows agree.
_VIEW = """
WITH seen AS (
  SELECT app_id, event_id, 0 AS must, 0 AS known, 1 AS found,
         cityHash64(device_id, session_id, {moment}) AS said FROM tapcart.{view} WHERE app_id != 'FRESH_APP'
), sent AS (
  SELECT app_id, event_id, must, 1 AS known, 0 AS found,
         cityHash64(device_id, session_id, timestamp_ms) AS said FROM faults.sent WHERE {condition}
), both AS (
  SELECT app_id, event_id, sum(must) AS must, sum(known) AS known, sum(found) AS found,
         min(said) != max(said) AS changed
  FROM (SELECT * FROM seen UNION ALL SELECT * FROM sent) GROUP BY app_id, event_id
)
""".replace("FRESH_APP", FRESH_APP)
_BODIES = """
WITH both AS (
  SELECT body, max(must) AS must, sum(known) AS known, sum(found) AS found, 0 AS changed FROM (
    SELECT body, 0 AS must, 0 AS known, 1 AS found FROM tapcart.quarantine WHERE NOT ({refused})
    UNION ALL SELECT body, must, 1 AS known, 0 AS found FROM faults.bodies
  ) GROUP BY body
)
"""
_FAULTS = {
    "lost": "must > 0 AND found = 0",
    "doubled": "found > 1",
    "invented": "found > 0 AND known = 0",
    "changed": "found > 0 AND known > 0 AND changed",
}


class Judge:
    """Queries ClickHouse."""

    def __init__(self, world: Sql, posts: Posts) -> None:
        self._world = world
        self._posts = posts
        names = [table_name(r.name) for r in Catalog.load().newest_releases() if r.family == "mobile"]
        self._typed = [*names, UNMODELLED]

    def complaints(self) -> Iterator[str]:
        """Yield the faults of all views."""
        moment = "toUnixTimestamp64Milli(timestamp)"
        for view in self._typed:
            with_clause = _VIEW.format(
                view=view, moment=moment, condition=f"view = '{view}'", fresh_app=FRESH_APP
            )
            yield from self._faults(view, with_clause, "concat(app_id, '/', event_id)")
        everything = _VIEW.format(
            view="events", moment=moment, condition=f"view != '{CLICKSTREAM}'", fresh_app=FRESH_APP
        )
        yield from self._faults("events", everything, "concat(app_id, '/', event_id)")
        stream = _VIEW.format(
            view=CLICKSTREAM, moment="toInt64(0)", condition=f"view = '{CLICKSTREAM}'", fresh_app=FRESH_APP
        )
        yield from self._faults(CLICKSTREAM, stream, "concat(app_id, '/', event_id)")
        yield from self._faults(
            "quarantine",
            _BODIES.format(refused=REFUSED),
            "replaceRegexpAll(toValidUTF8(substring(body, 1, 60)), '[[:cntrl:]]', '?')",
        )

    def sample_complaints(self, size: int) -> Iterator[str]:
        """Yield the wrong values of about `size` events, spread evenly."""
        for view in (*self._typed, CLICKSTREAM):
            for rows in self._sample(view, size):
                yield from self._compare(view, rows)

    def _faults(self, view: str, with_clause: str, name: str) -> Iterator[str]:
        counts = ", ".join(f"countIf({rule}) AS {fault}_count" for fault, rule in _FAULTS.items())
        examples = ", ".join(
            f"groupArrayIf({_EXAMPLES})({name}, {rule}) AS {fault}_named" for fault, rule in _FAULTS.items()
        )
        (found,) = self._rows(f"{with_clause} SELECT {counts}, {examples} FROM both")
        for fault in _FAULTS:
            count, named = int(found[f"{fault}_count"]), ", ".join(found[f"{fault}_named"])
            if count:
                yield f"{view}: {count} {fault}, for example {named}"

    def _sample(self, view: str, size: int) -> Iterator[list[dict[str, Any]]]:
        (total,) = self._rows("SELECT count() AS n FROM faults.sent WHERE must")
        step = max(1, int(total["n"]) // max(size, 1))
        (ids,) = self._rows(
            f"SELECT groupArray((app_id, event_id, number)) AS ids FROM faults.sent "
            f"WHERE must AND view = '{view}' AND cityHash64(number) % {step} = 0"
        )
        for first in range(0, len(ids["ids"]), _SAMPLE_CHUNK):
            chunk = ids["ids"][first : first + _SAMPLE_CHUNK]
            numbers = {(app_id, event_id): int(number) for app_id, event_id, number in chunk}
            wanted = ", ".join(f"({_text(app_id)}, {_text(event_id)})" for app_id, event_id in numbers)
            rows = self._rows(f"SELECT * FROM tapcart.{view} WHERE (app_id, event_id) IN ({wanted})")
            yield [row | {"": numbers[row["app_id"], row["event_id"]]} for row in rows]

    def _compare(self, view: str, rows: list[dict[str, Any]]) -> Iterator[str]:
        for row in rows:
            number = row.pop("")
            post = self._posts.post(number, good=number >= FOREIGN)
            for path in values.missing(post.event, row):
                yield f"{view}: post {number} was sent with another value of {path}"

    def _rows(self, query: str) -> list[dict[str, Any]]:
        settings = "date_time_output_format = 'unix_timestamp', output_format_json_quote_64bit_integers = 0"
        answer = self._world.sql(f"{query} SETTINGS {settings} FORMAT JSONEachRow")
        return [msgspec.json.decode(line) for line in answer.splitlines()]


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
