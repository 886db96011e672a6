"""Tables as they exist -> the statements that bring them up to date, as DDL. Pure.

Invariants: no statement rewrites rows before it returns, so loading does not wait for the size of a table.
`existing`: table -> column -> type; `engines`: table -> its engine with settings, for tables that have files.
Source: docs/decisions/0018-clickhouse-tables.md, docs/decisions/0034-logs-of-topics.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from consumers.warehouse.tables import (
    COMPACT,
    LOG,
    RAW,
    SMALL_PARTS,
    Options,
    Table,
    assignments,
    definition,
    has_json,
    on_cluster,
    physical,
    ttl,
)
from runtime.kafka import topics
from schemas.catalog.columns import JSON


def changes(
    found: Iterable[Table],
    existing: Mapping[str, Mapping[str, str]],
    engines: Mapping[str, str],
    logs: Mapping[str, int],
    options: Options,
) -> Iterator[tuple[str, str]]:
    """Yield (event, statement) of all changes; `logs`: topic -> the log in use, for `additions`."""
    found = tuple(found)
    for event, statements in (
        ("table_extended", additions(found, existing, logs, options)),
        ("table_settings_added", missing_settings(found, engines, options)),
        ("retention_changed", retentions(found, engines, options)),
        ("table_bounded", bounds(found, existing, options)),
    ):
        yield from ((event, statement) for statement in statements)


def lack_log(found: Iterable[Table], existing: Mapping[str, Mapping[str, str]]) -> bool:
    """Return whether a table has rows from before the column `_log`."""
    return any(
        LOG in table.columns and table.name in existing and LOG.name not in existing[table.name]
        for table in found
    )


def additions(
    found: Iterable[Table],
    existing: Mapping[str, Mapping[str, str]],
    logs: Mapping[str, int],
    options: Options,
) -> Iterator[str]:
    """Yield the statements that add missing columns.

    Rows from before the column `_log` get that of their topic in `logs`, without being written again.
    """
    for table in found:
        present = existing.get(table.name, {})
        log = replace(LOG, default=str(logs.get(table.topic, topics.UNKNOWN_LOG)))
        columns = (log if column is LOG else column for column in table.columns)
        missing = [column for column in columns if column.name not in present]
        if missing:
            added = ", ".join(f"ADD COLUMN IF NOT EXISTS {definition(column)}" for column in missing)
            for name in physical(table, options):
                yield f"ALTER TABLE {RAW}.{name}{on_cluster(options)} {added}"


def engines() -> str:
    """Return the query for the name and the engine, with its settings, of each table that has files."""
    ours = f"database = '{RAW}' AND endsWith(engine, 'MergeTree')"
    return f"SELECT name, engine_full FROM system.tables WHERE {ours}"  # noqa: S608 - our names


def missing_settings(found: Iterable[Table], engines: Mapping[str, str], options: Options) -> Iterator[str]:
    """Yield the statements that add settings which a table did not have when it was created."""
    compact = {physical(table, options)[0] for table in found if has_json(table)}
    for name, engine in engines.items():
        wanted = SMALL_PARTS | (COMPACT if name in compact else {})
        if missing := {setting: value for setting, value in wanted.items() if setting not in engine}:
            yield f"ALTER TABLE {RAW}.{name}{on_cluster(options)} MODIFY SETTING {assignments(missing)}"


def retentions(found: Iterable[Table], engines: Mapping[str, str], options: Options) -> Iterator[str]:
    """Yield the statements that give existing tables another retention; without a setting, theirs stays."""
    for table in found:
        name = physical(table, options)[0]
        engine = engines.get(name, "")
        days = options.ttl_days_of(table.name)
        wanted = f" TTL toDateTime({table.ttl_of}) + toIntervalDay({days}) "
        if not (engine and days and table.ttl_of) or wanted in engine:
            continue
        altering = f"ALTER TABLE {RAW}.{name}{on_cluster(options)} MODIFY"
        if table.partition_by and "ttl_only_drop_parts" not in engine:
            yield f"{altering} SETTING ttl_only_drop_parts = 1"
        # In the background: reading all rows of a table may take long.
        yield f"{altering} {ttl(table, options)} SETTINGS alter_sync = 0, mutations_sync = 0"


def bounds(
    found: Iterable[Table], existing: Mapping[str, Mapping[str, str]], options: Options
) -> Iterator[str]:
    """Yield the statements that bound JSON columns in tables created before the bound existed."""
    for table in found:
        for column in table.columns:
            if column.type != JSON or existing.get(table.name, {}).get(column.name) != "JSON":
                continue
            for name in physical(table, options):
                # In the background: meanwhile, rows stay readable and loading goes on.
                yield (
                    f"ALTER TABLE {RAW}.{name}{on_cluster(options)} MODIFY COLUMN {definition(column)}"
                    " SETTINGS alter_sync = 0, mutations_sync = 0"
                )


def differences(
    found: Iterable[Table], existing: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str, str, str]]:
    """Yield (table, column, type, expected type) of every column with a wrong type."""
    for table in found:
        present = existing.get(table.name, {})
        for column in table.columns:
            if present.get(column.name, column.type).replace(" ", "") != column.type.replace(" ", ""):
                yield table.name, column.name, present[column.name], column.type
