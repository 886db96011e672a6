"""A person -> all rows about them in `tapcart_raw`, and the ids that occur beside theirs.

Invariants: read-only; each row once, as queries see it (FINAL); every table is searched, also those of
schemas that this process does not know. Source: deploy/privacy.md, "Export one person".
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from urllib3.exceptions import HTTPError

from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.privacy.person import ID_COLUMNS, Person
from consumers.warehouse.tables import RAW, quoted

_SECONDS_MAX = 3600.0
_LOCAL = "_local"
_SETTINGS = {
    "readonly": 2,
    "do_not_merge_across_partitions_select_final": 1,
    # A column may be selected under its own name in another form.
    "prefer_column_name_to_alias": 1,
    "max_query_size": 1024 * 1024,
}
# On a cluster, the Distributed table stands for its local one. Derived columns repeat others.
_COLUMNS = """
SELECT table, name, type FROM system.columns
WHERE database = {database:String} AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') AND table IN (
    SELECT name FROM system.tables
    WHERE database = {database:String} AND (engine LIKE '%MergeTree' OR engine = 'Distributed')
) ORDER BY table, position
"""


class HeldRows:
    """The tables, as they are now. Every method raises: TransientError."""

    def __init__(self, url: str) -> None:
        with querying():
            self._client = connect(url, _SECONDS_MAX, **_SETTINGS)
            found = self._client.query(_COLUMNS, parameters={"database": RAW}).result_rows
        every: dict[str, dict[str, str]] = {}
        for table, name, kind in found:
            every.setdefault(table, {})[name] = kind
        self._columns = {table: columns for table, columns in every.items() if not _is_part(table, every)}

    def rows(self, person: Person) -> Iterator[tuple[str, bytes]]:
        """Yield each row as its table's name and a JSON object."""
        for table, columns in self._columns.items():
            selected = ", ".join(map(_selected, columns.items()))
            sql, parameters = _query(selected, table, columns, person)
            with querying(), self._client.raw_stream(sql, parameters, fmt="JSONEachRow") as lines:
                yield from ((table, row) for row in whole_rows(lines))

    def linked(self, person: Person) -> dict[str, set[str]]:
        """Return the other ids in the person's rows, by kind of id."""
        linked: dict[str, set[str]] = {kind: set() for kind in ID_COLUMNS}
        for table, columns in self._columns.items():
            ids = [f"groupUniqArrayArray([{_ids_of(names, columns)}])" for names in ID_COLUMNS.values()]
            sql, parameters = _query(", ".join(ids), table, columns, person)
            with querying():
                found: Any = self._client.query(sql, parameters=parameters).first_row
            for kind, own in zip(ID_COLUMNS, found, strict=True):
                linked[kind].update(own)
        return {kind: ids - {"", *person.ids.get(kind, ())} for kind, ids in linked.items()}


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
    return ", ".join(["''", *(f"ifNull({quoted(name)}, '')" for name in names if name in columns)])


def _query(
    selected: str, table: str, columns: Mapping[str, str], person: Person
) -> tuple[str, dict[str, str]]:
    where, parameters = person.condition(columns)
    return f"SELECT {selected} FROM {RAW}.{quoted(table)} FINAL WHERE {where}", parameters  # noqa: S608 - our names


def _selected(column: tuple[str, str]) -> str:
    """Return a column; text that is not UTF-8, such as a rejected body, in base64."""
    name, kind = column
    plain = quoted(name)
    if kind != "String":
        return plain
    return f"if(isValidUTF8({plain}), {plain}, concat('base64:', base64Encode({plain}))) AS {plain}"
