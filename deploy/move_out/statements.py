"""One day of a table -> the SQL that lists, reads, digests and drops it. Pure.

Invariants: both servers run the same text, so their digests compare. A row counts by its newest version
(FINAL), because the two merge at different times. A digest does not depend on the order of rows, nor on how a
version of ClickHouse hashes a type: it hashes the row as tab-separated text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from consumers.warehouse.tables import RAW, Options, Table, literal, on_cluster, physical, quoted

MARK = "move_out"  # the table that says whose rows the outside server holds
# Of the columns as they are in memory. A slice is one query on each side: it must end within the embedded
# engine's 60 s, and fit into one request, which is 1 GiB at most.
_SLICE_BYTES = 128 * 1024 * 1024
_MARGIN = timedelta(days=1)
_STORED = "default_kind NOT IN ('MATERIALIZED', 'ALIAS', 'EPHEMERAL')"


@dataclass(frozen=True, slots=True)
class TableDay:
    """The rows of one day, which are one partition of a table; a table without days has one, `all`."""

    table: Table
    partition: str  # its id: `20260131`, or `all`
    slices: int = 1  # to read it in


def days(table: Table) -> str:
    """Return the query for (partition, slices) of a table on one server."""
    return (
        f"SELECT partition_id, intDiv(sum(data_uncompressed_bytes), {_SLICE_BYTES}) + 1 FROM system.parts"  # noqa: S608 - our names
        f" WHERE active AND database = '{RAW}' AND table = '{table.name}' GROUP BY partition_id"
    )


def partitions(table: Table) -> str:
    """Return the query for the partitions of a table, also on a cluster."""
    return f"SELECT DISTINCT _partition_id FROM {RAW}.{table.name}"  # noqa: S608 - our names


def columns() -> str:
    """Return the query for (table, column) of all that is stored and not computed."""
    return f"SELECT table, name FROM system.columns WHERE database = '{RAW}' AND {_STORED} ORDER BY position"  # noqa: S608 - our names


def newest(tables: Sequence[Table]) -> str:
    """Return the query for the time of the last load, in milliseconds."""
    each = " UNION ALL ".join(f"SELECT max(_loaded_at) AS at FROM {RAW}.{table.name}" for table in tables)  # noqa: S608 - our names
    return f"SELECT toUnixTimestamp64Milli(max(at)) FROM ({each})"  # noqa: S608 - our names


def rows(day: TableDay, number: int, names: Sequence[str], condition: str) -> str:
    """Return the query for the rows of one slice."""
    return f"SELECT {_listed(names)} {_of(day, number, condition)}"


def digest(day: TableDay, number: int, names: Sequence[str], condition: str) -> str:
    """Return the query for (rows, sum of their hashes) of one slice."""
    text = f"formatRow('TabSeparated', {_listed(names)})"
    return f"SELECT count(), sum(sipHash64({text})) {_of(day, number, condition)}"


def unexpired(table: Table, options: Options, now: datetime) -> str:
    """Return the condition for rows that are compared and copied.

    Each server deletes expired rows in its own time, so those that expire within a day do not count.
    """
    days_max = options.ttl_days_of(table.name)
    if not (days_max and table.ttl_of):
        return "1"
    at = now - timedelta(days=days_max) + _MARGIN
    return f"{table.ttl_of} > toDateTime64('{at:%Y-%m-%d %H:%M:%S}', 3, 'UTC')"


def removal(day: TableDay, options: Options) -> str:
    """Return the statement that drops a day."""
    name = physical(day.table, options)[0]
    return f"ALTER TABLE {RAW}.{name}{on_cluster(options)} DROP PARTITION ID {literal(day.partition)}"


def marking(source: str, options: Options) -> Iterator[str]:
    """Yield the statements that mark the outside server as the copy of `source`."""
    yield f"CREATE DATABASE IF NOT EXISTS {RAW}{on_cluster(options)}"
    columns = "(at DateTime) ENGINE = MergeTree ORDER BY at"
    comment = literal(mark(source))
    yield f"CREATE TABLE IF NOT EXISTS {RAW}.{MARK}{on_cluster(options)} {columns} COMMENT {comment}"


def mark(source: str) -> str:
    """Return the comment of the mark."""
    return f"tapline move-out copied these tables from the database {source}"


def _of(day: TableDay, number: int, condition: str) -> str:
    # The key is the same in all versions of a row, so it may be compared before FINAL chooses one.
    part = f" PREWHERE cityHash64({day.table.order_by}) % {day.slices} = {number}" if day.slices > 1 else ""
    where = f"_partition_id = {literal(day.partition)} AND {condition}"
    return (
        f"FROM {RAW}.{day.table.name} FINAL{part} WHERE {where}"
        " SETTINGS do_not_merge_across_partitions_select_final = 1"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(quoted, names))
