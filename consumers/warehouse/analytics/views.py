"""The .sql files in this folder -> the analytics views of `tapcart`, as DDL. Pure, but reads them once.

Invariants: a file's first comment is the exact definition, and the view's comment in ClickHouse; a view whose
sources are missing is left out. All read deduplicated events: `FINAL` views, or `visits`. Source:
analytics/README.md.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from consumers.warehouse.analytics import visits
from consumers.warehouse.tables import PUBLIC, RAW, Options, literal, on_cluster
from schemas.catalog.table_names import ANALYTICS_VIEWS

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class View:
    """One analytics view."""

    name: str
    definition: str  # as text
    sql: str

    @property
    def sources(self) -> frozenset[str]:
        """The names in `tapcart`, and `visits`, that it reads."""
        return frozenset(re.findall(rf"\b(?:{PUBLIC}|{RAW})\.(\w+)", self.sql))


def _read(name: str) -> View:
    lines = (_HERE / f"{name}.sql").read_text().splitlines()
    words = list(takewhile(lambda line: line.startswith("--"), lines))
    definition = " ".join(line.removeprefix("--").strip() for line in words)
    return View(name, definition, "\n".join(lines[len(words) :]))


VIEWS = tuple(map(_read, ANALYTICS_VIEWS))


def statements(tables: Iterable[str], options: Options) -> Iterator[tuple[str, str]]:
    """Yield (view, statement that creates or replaces it) for all whose sources exist."""
    there = {*tables, visits.NAME}
    for view in VIEWS:
        if view.sources <= there:
            there.add(view.name)
            sql = view.sql
            for name, text in _settings(options).items():
                sql = sql.replace(name, text)
            head = f"CREATE OR REPLACE VIEW {PUBLIC}.{view.name}{on_cluster(options)} AS"
            yield view.name, f"{head}\n{sql}\nCOMMENT {literal(view.definition)}"


def _settings(options: Options) -> dict[str, str]:
    """Return the placeholders in the files -> their SQL."""
    return {
        "$ZONE": literal(options.time_zone),
        "$MATCH_MS": str(options.match_minutes * 60_000),
        "$COUNTED": _counted(options),
    }


def _counted(options: Options) -> str:
    """Return the condition that keeps events of environments that are not excluded.

    An event without an environment gets its session's, or without a session its device's.
    """
    if not options.environments_excluded:
        return "1"
    excluded = ", ".join(literal(name.strip().lower()) for name in options.environments_excluded)
    names = f"lower(trimBoth(environment)) IN ({excluded})"
    theirs = (
        "SELECT app_id, arrayJoin(arrayFilter(id -> id != '', [session_id, device_id]))"  # noqa: S608 - quoted
        f" FROM {RAW}.{visits.NAME} WHERE {names}"
    )
    of_session_or_device = "(app_id, if(session_id = '', device_id, session_id))"
    return f"(NOT {names} AND (environment != '' OR {of_session_or_device} GLOBAL NOT IN ({theirs})))"
