"""Two servers -> the outside one holds every day as the embedded one does, by count and hash.

Invariants: a day that is equal is not touched; any other is dropped and copied whole, so no run adds rows
beside those of an earlier one, wherever that ended.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from consumers.warehouse.tables import Table
from deploy.local.errors import StackError
from deploy.move_out.sides import Digest, EmbeddedServer, OutsideServer
from deploy.move_out.statements import TableDay


class DayState(Enum):
    """What became of a day."""

    EQUAL = "equal"
    COPIED = "copied, equal"
    CHANGED = "copied, changed meanwhile"


@dataclass(frozen=True, slots=True)
class MovedDay:
    """A day after its comparison."""

    day: TableDay
    state: DayState
    rows: int  # of the embedded server
    number: int  # of the table's days, from 1
    days: int  # of the table


class Mover:
    """Moves the tables, one day after the other."""

    def __init__(self, source: EmbeddedServer, target: OutsideServer, tables: Sequence[Table]) -> None:
        self._source, self._target = source, target
        self._tables = tables
        self._has_visits = True

    def check(self) -> None:
        """Check that all can be copied, and nothing newer would be dropped. Raises: StackError."""
        loaded = [table for table in self._tables if any(c.name == "_loaded_at" for c in table.columns)]
        present = self._source.columns()
        ours = [table for table in loaded if table.name in present]
        if self._target.newest_ms(loaded) > self._source.newest_ms(ours):
            raise StackError(
                f"{self._target.at} has rows that were loaded later than any here: it is in use already. "
                "Nothing was changed."
            )
        insertable = self._target.insertable()
        for table in self._tables:
            lacking = [name for name in present.get(table.name, []) if name not in insertable[table.name]]
            if lacking:
                raise StackError(
                    f"{table.name} has columns that are in no schema: {', '.join(lacking)}. "
                    f"Add them to the table at {self._target.at} first (on a cluster, to a schema), "
                    "or drop them here."
                )

    def move(self) -> Iterator[MovedDay]:
        """Move every day that differs; yield each."""
        present = self._source.columns()
        for table in self._tables:
            columns = present.get(table.name)
            if not columns:  # the loader has not created it yet
                continue
            days, there = self._source.days(table), self._target.partitions(table)
            here = {day.partition for day in days}
            days += [TableDay(table, partition) for partition in sorted(there - here)]
            for number, day in enumerate(days, 1):
                state, (rows, _) = self._move(day, columns, is_there=day.partition in there)
                yield MovedDay(day, state, rows, number, len(days))

    def _move(self, day: TableDay, columns: Sequence[str], *, is_there: bool) -> tuple[DayState, Digest]:
        source, target = self._source, self._target
        if is_there:
            found = source.digest(day, columns)
            if target.digest(day, columns) == found:
                return DayState.EQUAL, found
        if self._has_visits:  # it would keep the actions of a day that is dropped
            target.drop_visits()
            self._has_visits = False
        if is_there:
            target.drop(day)
        for number in range(day.slices):
            target.insert(day.table, columns, source.rows(day, number, columns))
        found = source.digest(day, columns)
        return (DayState.COPIED if target.digest(day, columns) == found else DayState.CHANGED), found
