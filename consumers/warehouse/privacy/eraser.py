"""People's rows -> gone from every table, and from `visits` what came from them.

Order: `visits` is marked as incomplete, the rows of `visits` go, then the events' rows, then the days are
filled again from the remaining events. So a kill at any line leaves either rows that the next run finds, or a
mark by which the next run (or the loader's next start) fills `visits`. One mutation per table deletes the
rows of all people, however many, and rewrites only parts that have some.

Invariants: rows of others stay, and `visits` has all of them again at the end; mutations hold hashes, no ids.
Source: docs/decisions/0036-erasure.md.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from consumers.warehouse.analytics import visits
from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.privacy.held_rows import STATEMENT_BYTES_MAX, HeldRows
from consumers.warehouse.privacy.row_filter import RowFilter, hashed
from consumers.warehouse.removals import Removals
from consumers.warehouse.replicas import synced
from consumers.warehouse.tables import RAW, Options, literal, quoted

_SECONDS_MAX = 3600.0
# A device's rows of `visits` change if an event of it goes, whoever else that event was about.
_VISITOR = "toString(if(device_id != '', device_id, session_id))"
_VISITOR_COLUMNS = ("timestamp", "device_id", "session_id")


class Eraser:
    """Deletes rows. Every method raises: TransientError."""

    def __init__(self, url: str, held: HeldRows, options: Options) -> None:
        with querying():
            self._client = connect(url, _SECONDS_MAX, max_query_size=STATEMENT_BYTES_MAX)
        self._held, self._options = held, options
        self._removals = Removals(self._client, options)

    @property
    def visits_are_filled(self) -> bool:
        """Whether `visits` has the rows of all events."""
        filled = visits.mark(self._options, filled=True)
        return visits.NAME not in self._held.columns or self._comment() == filled

    def erase(self, found: RowFilter, tables: Iterable[str]) -> None:
        """Delete the rows from these tables, if any; returns when they are gone, and new ones readable."""
        synced(self._client, self._held.columns, self._options)
        if not (tables := [*tables]):
            return
        tables = [table for table in tables if table != visits.NAME]
        touched = self._visitors(found, tables)
        has_visits = visits.NAME in self._held.columns
        if has_visits:
            self._run(visits.marking(self._options, filled=False))
            condition = (
                f"({found.condition(self._held.columns[visits.NAME])}) OR ({_condition(found, touched)})"
            )
            self._delete({visits.NAME: condition})
        self._delete({table: found.condition(self._held.columns[table]) for table in tables})
        if has_visits:
            for day in self._days(touched):
                self._run(visits.filling(day, self._options))
            self._run(visits.marking(self._options, filled=True))

    def _visitors(self, found: RowFilter, tables: Iterable[str]) -> dict[str, set[int]]:
        """Return the days (2026-01-31) of these rows, and for each the hashes of their devices."""
        zone = literal(self._options.time_zone)
        selected = f"groupUniqArray((toString(toDate(timestamp, {zone})), {hashed(found.key, _VISITOR)}))"
        touched: dict[str, set[int]] = {}
        for table in tables:
            if all(name in self._held.columns[table] for name in _VISITOR_COLUMNS):
                for day, visitor in self._held.first_row(selected, table, found)[0]:
                    touched.setdefault(day, set()).add(visitor)
        return touched

    def _delete(self, conditions: Mapping[str, str]) -> None:
        for table, condition in conditions.items():
            self._removals.start_rewriting(table, condition)
        self._removals.wait()

    def _days(self, touched: Iterable[str]) -> list[int]:
        """Return the partitions of events that these days of `visits` come from."""
        if not touched:
            return []
        days = ", ".join(f"toDate({literal(day)})" for day in touched)
        zone = literal(self._options.time_zone)
        sql = (
            f"SELECT DISTINCT toYYYYMMDD(timestamp) AS partition FROM {RAW}.events"  # noqa: S608 - our names
            f" WHERE toDate(timestamp, {zone}) IN ({days}) ORDER BY partition"
        )
        return [int(day) for (day,) in self._rows(sql)]

    def _comment(self) -> str:
        sql = f"SELECT comment FROM system.tables WHERE database = '{RAW}' AND name = '{visits.NAME}'"  # noqa: S608 - our names
        return str(next(iter(self._rows(sql)), ("",))[0])

    def _rows(self, sql: str) -> Any:
        with querying():
            return self._client.query(sql).result_rows

    def _run(self, statement: str) -> None:
        with querying():
            self._client.command(statement)


def _condition(found: RowFilter, touched: Mapping[str, set[int]]) -> str:
    """Return the condition for the rows of `visits` of these devices on these days."""
    if not touched:
        return "0"
    days = ", ".join(f"toDate({literal(day)})" for day in touched)
    return f"{quoted('day')} IN ({days}) AND {found.is_in(_VISITOR, sorted(set().union(*touched.values())))}"
