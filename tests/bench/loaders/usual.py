"""The usual loader: fastavro decodes each record, and clickhouse-connect inserts them column by column."""

import os
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect

from consumers.warehouse.tables import RAW
from tests.bench.loaders.topic import load

_at = urlsplit(os.environ["CLICKHOUSE_URL"])
_client = clickhouse_connect.get_client(host=_at.hostname or "", port=_at.port or 0)


def insert(table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows of one table."""
    names = list(rows[0])
    columns = [_column(table, name, [row[name] for row in rows]) for name in names]
    _client.insert(f"{RAW}.{table}", columns, column_names=names, column_oriented=True)


_nulls: dict[tuple[str, str], Any] = {}


def _column(table: str, name: str, values: list[Any]) -> list[Any]:
    """Return the values; texts and lists of our tables are never null."""
    if not _nulls.get((table, "")):
        kinds = _client.query(f"SELECT name, type FROM system.columns WHERE table = '{table}'").result_rows
        _nulls.update({(table, column): _default(kind) for column, kind in kinds} | {(table, ""): True})
    default = _nulls[table, name]
    return values if default is None else [default if value is None else value for value in values]


def _default(kind: str) -> Any:
    if kind.startswith("Nullable"):
        return None
    return [] if kind.startswith("Array") else datetime(1970, 1, 1) if kind.startswith("Date") else ""  # noqa: DTZ001


if __name__ == "__main__":
    load(insert)
