"""Tables -> the public views of `tapcart`, as DDL. Pure.

Invariants: every view reads FINAL, so an event counts once. `do_not_merge_across_partitions_select_final`
makes that cheap, and is correct because the partition is a function of the event. Columns, including derived
ones, are listed, because `*` omits the latter. Source: docs/decisions/0018-clickhouse-tables.md.
"""

from collections.abc import Iterator, Sequence

from consumers.warehouse.tables import (
    PUBLIC,
    RAW,
    REPLAYS,
    Options,
    Table,
    literal,
    local,
    on_cluster,
    quoted,
)
from runtime import probe
from schemas.catalog.columns import Column

_FINAL = "FINAL SETTINGS do_not_merge_across_partitions_select_final = 1"
_EVENTS = "events"
_REPLAYS = (
    "(SELECT body_hash, toNullable(max(replayed_at)) AS replayed_at FROM tapcart_raw.quarantine_replays"
    " GROUP BY body_hash) AS replays ON rows.body_hash = replays.body_hash"
)
_NO_PROBE = f"reason != '{probe.REASON}'"
_REPLAYED_AT = Column(
    "replayed_at", "Nullable(DateTime64(3, 'UTC'))", "When it became an event after all; null until then."
)


def views(tables: Sequence[Table], options: Options) -> Iterator[str]:
    """Yield the statements that create or replace every view."""
    for table in tables:
        if table.name == "quarantine":
            yield _quarantine(table, options)
        elif table is not REPLAYS:
            yield _view(table.name, _columns(table), f"{RAW}.{table.name} {_FINAL}", options)
    yield from _events([table for table in tables if table.partition_by], options)


def columns_by_view(tables: Sequence[Table]) -> dict[str, list[Column]]:
    """Return the columns of every view."""
    shared = _public(_shared([table for table in tables if table.partition_by]))
    return {_EVENTS: shared} | {table.name: _columns(table) for table in tables if table is not REPLAYS}


def _columns(table: Table) -> list[Column]:
    """Return the columns of a table's view."""
    columns = _public(table.columns)
    if table.name != "quarantine":
        return columns
    return [*(column for column in columns if column.name != "body_hash"), _REPLAYED_AT]


def _events(typed: Sequence[Table], options: Options) -> Iterator[str]:
    shared = _shared(typed)
    names = "|".join(sorted(local(table.name, options) for table in typed))
    own = local(_EVENTS, options)
    columns = ",\n  ".join(f"{quoted(column.name)} {column.type}" for column in shared)
    yield (
        f"CREATE OR REPLACE TABLE {RAW}.{own}{on_cluster(options)} (\n  {columns}\n)\n"
        f"ENGINE = Merge({literal(RAW)}, {literal(f'^({names})$')})"
    )
    if options.cluster:  # one request to each shard, not one for each of its tables
        yield (
            f"CREATE OR REPLACE TABLE {RAW}.{_EVENTS}{on_cluster(options)} (\n  {columns}\n)\n"
            f"ENGINE = Distributed({literal(options.cluster)}, {RAW}, {own})"
        )
    # Last, so that its existence implies that of all others.
    yield _view(_EVENTS, _public(shared), f"{RAW}.{_EVENTS} {_FINAL}", options)


def _shared(typed: Sequence[Table]) -> list[Column]:
    everywhere = set.intersection(*({(c.name, c.type) for c in table.columns} for table in typed))
    # Uses the comments of events without their own table, which fit all types.
    words = next(table for table in typed if table.name == "unmodelled")
    return [column for column in words.columns if (column.name, column.type) in everywhere]


def _quarantine(table: Table, options: Options) -> str:
    columns = _columns(table)
    rows = (
        f"(SELECT {_names(columns[:-1])}, body_hash FROM {RAW}.{table.name} FINAL WHERE {_NO_PROBE}) AS rows"  # noqa: S608 - our names
    )
    return _view(table.name, columns, f"{rows} LEFT JOIN {_REPLAYS}", options)


def _view(name: str, columns: Sequence[Column], source: str, options: Options) -> str:
    declared = ",\n  ".join(
        f"{quoted(column.name)} {column.type} COMMENT {literal(column.comment)}" for column in columns
    )
    return (
        f"CREATE OR REPLACE VIEW {PUBLIC}.{name}{on_cluster(options)} (\n  {declared}\n) AS\n"
        f"SELECT {_names(columns)}\nFROM {source}"
    )


def _public(columns: Sequence[Column]) -> list[Column]:
    return [column for column in columns if not column.name.startswith("_")]


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(quoted(column.name) for column in columns)
