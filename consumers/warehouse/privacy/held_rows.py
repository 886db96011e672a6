"""People -> all rows about them in `tapcart_raw`, their number, and the ids that occur beside theirs.

Invariants: read-only; every table is searched, also those of schemas that this process does not know; no id
is part of a statement. Source: deploy/privacy.md, "Export one person".
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from urllib3.exceptions import HTTPError

from consumers.kit.erasures.erased_ids import ID_COLUMNS
from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.privacy.people import People
from consumers.warehouse.privacy.row_filter import RowFilter, hashed, until
from consumers.warehouse.tables import RAW, literal, quoted

_SECONDS_MAX = 3600.0
_LOCAL = "_local"
_IDS_TOGETHER = 1_000
STATEMENT_BYTES_MAX = 256 * 1024 * 1024
_SETTINGS = {
    "readonly": 2,
    "do_not_merge_across_partitions_select_final": 1,
    # A column may be selected under its own name in another form.
    "prefer_column_name_to_alias": 1,
    "max_query_size": STATEMENT_BYTES_MAX,
}
# Of tables that have files. On a cluster, the Distributed table stands for its local one. Derived columns
# repeat others.
_COLUMNS = """
WITH stored AS (
    SELECT name FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree'
)
SELECT table, name, type FROM system.columns
WHERE database = {database:String} AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')
    AND (table IN (SELECT name FROM stored) OR concat(table, '_local') IN (SELECT name FROM stored))
ORDER BY table, position
"""

Columns = Mapping[str, str]  # name -> type


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The number of rows about some people."""

    by_table: Mapping[str, int]  # of tables that have any
    later: int  # rows from after the filter's moment

    @property
    def total(self) -> int:
        """The number in all tables."""
        return sum(self.by_table.values())


class HeldRows:
    """The tables, as they are now. Every method raises: TransientError."""

    def __init__(self, url: str) -> None:
        with querying():
            self._client = connect(url, _SECONDS_MAX, **_SETTINGS)
            found = self._client.query(_COLUMNS, parameters={"database": RAW}).result_rows
        every: dict[str, dict[str, str]] = {}
        for table, name, kind in found:
            every.setdefault(table, {})[name] = kind
        self.columns: Mapping[str, Columns] = {
            table: columns for table, columns in every.items() if not _is_part(table, every)
        }

    def filter_of(
        self, people: People, *, until_ms: int | None = None, only_id_columns: bool = False
    ) -> RowFilter:
        """Return the filter of these people's rows; `only_id_columns`: where the whole column is an id."""
        key = secrets.randbits(64), secrets.randbits(64)
        sequences = {} if only_id_columns else people.sequences()
        short = people.ids if only_id_columns else people.short()
        return RowFilter(
            key,
            {size: self._hashes(key, texts) for size, texts in sequences.items()},
            {kind: self._hashes(key, texts) for kind, texts in short.items() if texts},
            people.app_id,
            until_ms,
        )

    def rows(self, found: RowFilter) -> Iterator[tuple[str, bytes]]:
        """Yield each row as its table's name and a JSON object, once, as queries see it."""
        for table, columns in self.columns.items():
            selected = ", ".join(map(_selected, columns.items()))
            sql = _query(selected, f"{quoted(table)} FINAL", columns, found)
            with querying(), self._client.raw_stream(sql, fmt="JSONEachRow") as lines:
                yield from ((table, row) for row in whole_rows(lines))

    def counts(self, found: RowFilter) -> RowCounts:
        """Return the number of rows in each table that has any; versions not merged yet count too."""
        whenever, until_ms = replace(found, until_ms=None), found.until_ms
        counts: dict[str, int] = {}
        later = 0
        for table, columns in self.columns.items():
            before = "1" if until_ms is None else until(columns, until_ms)
            own, every = map(int, self.first_row(f"countIf({before}), count()", table, whenever))
            counts |= {table: own} if own else {}
            later += every - own
        return RowCounts(counts, later)

    def linked(self, found: RowFilter, known: People) -> dict[str, set[str]]:
        """Return the other ids in these rows, by kind of id."""
        linked: dict[str, set[str]] = {kind: set() for kind in ID_COLUMNS}
        for table, columns in self.columns.items():
            ids = [f"groupUniqArrayArray([{_ids_of(names, columns)}])" for names in ID_COLUMNS.values()]
            for kind, own in zip(ID_COLUMNS, self.first_row(", ".join(ids), table, found), strict=True):
                linked[kind].update(own)
        return {kind: ids - {"", *known.ids.get(kind, ())} for kind, ids in linked.items()}

    def first_row(self, selected: str, table: str, found: RowFilter) -> Sequence[Any]:
        """Return the first row of a selection from a table's rows about these people."""
        with querying():
            rows = self._client.query(_query(selected, quoted(table), self.columns[table], found)).result_rows
        return rows[0]

    def distinct(self, selected: str, table: str, where: str) -> Iterator[str]:
        """Yield the different texts of a selection, partition by partition."""
        source = f"{RAW}.{quoted(table)}"
        with querying():
            sql = f"SELECT DISTINCT _partition_id FROM {source}"  # noqa: S608 - our names
            partitions: Any = self._client.query(sql).result_rows
        for (partition,) in partitions:
            within = f"{where} AND _partition_id = {literal(partition)}"
            sql = f"SELECT DISTINCT toValidUTF8({selected}) FROM {source} WHERE {within}"  # noqa: S608 - our names
            with querying(), self._client.query_rows_stream(sql) as rows:
                yield from (one for (one,) in rows)

    def _hashes(self, key: tuple[int, int], texts: Iterable[str]) -> list[int]:
        """Return the hash of each text."""
        sql = f"SELECT {hashed(key, 'unhex(arrayJoin({texts:Array(String)}))')}"
        found: list[int] = []
        encoded = [text.encode().hex() for text in dict.fromkeys(texts)]
        for start in range(0, len(encoded), _IDS_TOGETHER):
            with querying():
                some = {"texts": encoded[start : start + _IDS_TOGETHER]}
                found += (one for (one,) in self._client.query(sql, parameters=some).result_rows)
        return found


def whole_rows(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the JSON objects of an answer.

    Raises: TransientError, if it ends early: an answer of 200 may end with ClickHouse's error, not a row.
    """
    try:
        for line in lines:
            row = line.rstrip(b"\n")
            if not row.startswith(b"{") or not row.endswith(b"}"):
                raise TransientError(f"ClickHouse: {row[:500].decode(errors='replace')}")
            yield row
    except HTTPError as error:
        raise TransientError(f"ClickHouse: {error}") from error


def _is_part(table: str, tables: Collection[str]) -> bool:
    """Return whether a Distributed table stands for this one."""
    return table.endswith(_LOCAL) and table.removesuffix(_LOCAL) in tables


def _ids_of(names: Iterable[str], columns: Collection[str]) -> str:
    return ", ".join(["''", *(f"toString(ifNull({quoted(name)}, ''))" for name in names if name in columns)])


def _query(selected: str, source: str, columns: Columns, found: RowFilter) -> str:
    return f"SELECT {selected} FROM {RAW}.{source} WHERE {found.condition(columns)}"  # noqa: S608 - our names


def _selected(column: tuple[str, str]) -> str:
    """Return a column; text that is not UTF-8, such as a rejected body, in base64."""
    name, kind = column
    plain = quoted(name)
    if kind != "String":
        return plain
    return f"if(isValidUTF8({plain}), {plain}, concat('base64:', base64Encode({plain}))) AS {plain}"
