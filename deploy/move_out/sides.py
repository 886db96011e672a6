"""The two ClickHouse servers of a move: the stack's own one, which is read, and the outside one.

Invariants: at most one MiB of rows is in memory. Nothing is written to the stack's own server. A connection
that breaks, or a query that fails midway, ends the insert with an error: the reader sees no shorter answer.
Raises: StackError; TransientError while a server does not answer.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

from consumers.kit.errors import TransientError
from consumers.warehouse import tables
from consumers.warehouse.analytics import visits
from consumers.warehouse.clickhouse import ClickHouseStore, connect, querying
from consumers.warehouse.tables import RAW, Options, Table
from deploy.local import engine_version
from deploy.local.errors import StackError
from deploy.move_out import statements
from deploy.move_out.statements import TableDay

_QUERY_SECONDS_MAX = 3600.0  # what the outside server allows is its own decision
_PIECE_BYTES = 1024 * 1024
_INSERT = {
    "async_insert": 0,
    # A day that was dropped is copied again with the same blocks, which a replicated table would skip.
    "insert_deduplicate": 0,
}

Digest = tuple[int, int]  # of a day: its rows, and the sum of their hashes modulo 2^64


class CopiedServer:
    """A server that holds the tables, and what both sides of a move answer alike."""

    def __init__(self, url: str, options: Options, now: datetime) -> None:
        self.at = urlsplit(url).netloc.rpartition("@")[2]
        self._url, self._options, self._now = url, options, now
        try:
            with querying():
                self._client = connect(url, _QUERY_SECONDS_MAX)
        except TransientError as error:
            raise StackError(f"{self.at} cannot be used: {error}") from error

    def columns(self) -> dict[str, list[str]]:
        """Return the stored columns of each table."""
        found: dict[str, list[str]] = {}
        for table, column in self._rows(statements.columns()):
            found.setdefault(table, []).append(column)
        return found

    def newest_ms(self, found: Sequence[Table]) -> int:
        """Return when a row of these tables was loaded last."""
        ((milliseconds,),) = self._rows(statements.newest(found))
        return int(milliseconds)

    def digest(self, day: TableDay, columns: Sequence[str]) -> Digest:
        """Return the digest of a day."""
        condition = statements.unexpired(day.table, self._options, self._now)
        parts = [
            self._rows(statements.digest(day, number, columns, condition))[0] for number in range(day.slices)
        ]
        return sum(count for count, _ in parts), sum(total for _, total in parts) % 2**64

    def _rows(self, sql: str) -> Any:
        with querying():
            return self._client.query(sql).result_rows


class EmbeddedServer(CopiedServer):
    """The stack's own server."""

    @property
    def identity(self) -> str:
        """The id of its database."""
        rows = self._rows(f"SELECT toString(uuid) FROM system.databases WHERE name = '{RAW}'")  # noqa: S608 - our name
        if not rows:
            raise StackError(f"ClickHouse at {self.at} has no tables yet: there is nothing to move")
        return str(rows[0][0])

    def days(self, table: Table) -> list[TableDay]:
        """Return the days of a table, in order."""
        return [TableDay(table, *row) for row in sorted(self._rows(statements.days(table)))]

    def rows(self, day: TableDay, number: int, columns: Sequence[str]) -> Iterator[bytes]:
        """Yield a slice's rows in the format Native, in pieces."""
        condition = statements.unexpired(day.table, self._options, self._now)
        sql = statements.rows(day, number, columns, condition)
        with querying():
            stream = cast("Any", self._client.raw_stream(sql, fmt="Native"))
            with stream:
                while piece := stream.read(_PIECE_BYTES):
                    yield piece


class OutsideServer(CopiedServer):
    """The server that the tables move to."""

    def __init__(self, url: str, options: Options, now: datetime, found: tuple[Table, ...]) -> None:
        super().__init__(url, options, now)
        version = engine_version.parse(str(self._client.server_version))
        if version < engine_version.MINIMUM:
            raise StackError(
                f"{self.at} is ClickHouse {engine_version.words(version)}, and Tapline needs "
                f"{engine_version.words(engine_version.MINIMUM)} or later"
            )
        self._tables = found

    def claim(self, source: str) -> None:
        """Create the tables where they are absent; refuse a server with others' rows."""
        rows = self._rows(f"SELECT name, comment FROM system.tables WHERE database = '{RAW}'")  # noqa: S608 - our name
        present: Mapping[str, str] = dict(rows)
        if present and present.get(statements.MARK) != statements.mark(source):
            raise StackError(
                f"{self.at} has tables in {RAW} that are no copy of this stack's. Nothing was changed. "
                f"Name an empty server, or drop the databases {RAW} and {tables.PUBLIC} there."
            )
        for statement in (
            *statements.marking(source, self._options),
            *tables.creations(self._tables, self._options),
        ):
            self._run(statement)

    def insertable(self) -> dict[str, list[str]]:
        """Return the columns of each table that `insert` may name."""
        found = self.columns()
        return {table.name: found[tables.inserts(table, self._options)] for table in self._tables}

    def partitions(self, table: Table) -> set[str]:
        """Return the ids of a table's partitions."""
        return {partition for (partition,) in self._rows(statements.partitions(table))}

    def insert(self, table: Table, columns: Sequence[str], rows: Iterator[bytes]) -> None:
        """Insert rows in the format Native; returns once they are stored."""
        first = next(rows, b"")
        if first:
            with querying():
                self._client.raw_insert(
                    tables.target(table, columns, self._options),
                    None,
                    _all(first, rows),
                    settings=_INSERT,
                    fmt="Native",
                )

    def drop(self, day: TableDay) -> None:
        """Drop a day."""
        self._run(statements.removal(day, self._options))

    def drop_visits(self) -> None:
        """Drop the table of visits, which never loses a row of an event that is gone."""
        feeders = map(visits.feeder, visits.sources(self._tables))
        for statement in visits.removals([*feeders], self._options):
            self._run(statement)

    def make_views(self) -> None:
        """Create the views, and the table of visits from the copied events, as the loader does."""
        store = ClickHouseStore(self._url, self._tables, self._options, _QUERY_SECONDS_MAX)
        store.make_tables()
        store.close()

    def _run(self, statement: str) -> None:
        with querying():
            self._client.command(statement)


def _all(first: bytes, rest: Iterator[bytes]) -> Generator[bytes, None, None]:
    yield first
    yield from rest
