"""Inserts that change nothing, to test whether ClickHouse stores other rows before one is blamed.

Invariant: a probe works like a real insert (same table and partition, an Avro container over HTTP), so a
fault of the server, a table or a proxy fails the probe like the row.
"""

import io
import time

import fastavro
from clickhouse_connect.driver.client import Client

from consumers.warehouse.load.container import Format
from consumers.warehouse.tables import RAW, REPLAYS, quoted

_MARK_SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "mark",
        "fields": [
            {"name": "body_hash", "type": {"type": "fixed", "name": "hash", "size": 16}},
            {"name": "replayed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ],
    }
)


def write_again(run: Client, form: Format, day: int | None, settings: dict[str, int], into: str) -> None:
    """Write again a row of the table, preferably of this day (20260131); nothing if the table is empty.

    `into`: the name of the table that its rows are inserted into. FINAL reads the current version. Raises:
    clickhouse_connect's errors.
    """
    names, source = ", ".join(map(quoted, form.columns)), f"{RAW}.{form.table}"
    conditions = ["1"] if day is None else [f"toYYYYMMDD(timestamp) = {day}", "1"]
    counted = (
        condition
        for condition in conditions
        if run.query(f"SELECT 1 FROM {source} WHERE {condition} LIMIT 1").result_rows  # noqa: S608 - our names
    )
    one = f"SELECT {names} FROM {source} FINAL WHERE {next(counted, '0')} LIMIT 1"  # noqa: S608 - our names
    run.command(f"INSERT INTO {RAW}.{into} ({names}) {one}", settings=settings)


def write_mark(run: Client, settings: dict[str, int]) -> None:
    """Write a container of one row, a mark for no body. Raises: clickhouse_connect's errors."""
    stream = io.BytesIO()
    fastavro.writer(
        stream, _MARK_SCHEMA, [{"body_hash": bytes(16), "replayed_at": time.time_ns() // 1_000_000}]
    )
    columns = [field["name"] for field in _MARK_SCHEMA["fields"]]  # type: ignore[index, call-overload]
    run.raw_insert(f"{RAW}.{REPLAYS.name}", columns, stream.getvalue(), settings=settings, fmt="Avro")
