"""Releases -> the tables of `tapcart_raw`, as DDL. Pure.

Invariants: a table has every column of every release of its name. The partition is a function of the event,
never of its arrival, so a duplicate meets its twin. Source: docs/decisions/0018-clickhouse-tables.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runtime.kafka import topics
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.columns import JSON, MOMENT, Column, columns
from schemas.catalog.table_names import table_name

RAW, PUBLIC = "tapcart_raw", "tapcart"

# Sorted or slowly growing numbers: their differences compress well.
_CODECS = {MOMENT: "Delta, ZSTD(1)", "Int64": "Delta, ZSTD(1)"}
# All other columns: 7% smaller than with LZ4 for numbers and categories, and queries take no longer. Existing
# columns and tables keep their codec.
_CODEC = "ZSTD(1)"

# A wide part has files for every path of a JSON column; a compact part has eight, whatever it holds.
COMPACT = {"min_bytes_for_wide_part": 1 << 40}
# Of every table. Inserts are small and frequent. Merging more parts at a time rewrites rows less often, and
# column statistics cost as much as the rows. Together both settings take a third off the cost of inserts.
SMALL_PARTS = {"merge_selector_base": 12, "auto_statistics_types": "''"}

_LIST = "Array("
# An event's identity within its type.
IDENTITY = "app_id, toStartOfHour(timestamp), cityHash64(device_id), event_id"
_BODY_HASH = "sipHash128(body)"


@dataclass(frozen=True, slots=True)
class Options:
    """The operator's decisions about tables."""

    ttl_days: int = 0  # 0: kept forever
    ttl_days_by_table: Mapping[str, int] = field(default_factory=dict)  # of tables with their own
    settle_seconds: int = 600
    cluster: str = ""  # "": one server
    time_zone: str = "UTC"  # the days of the analytics views are days of this zone
    match_minutes: int = 30  # two events of one purchase are at most this far apart
    environments_excluded: tuple[str, ...] = ()  # from the analytics views

    def ttl_days_of(self, table: str) -> int:
        """Return how many days a table keeps its rows; 0: forever."""
        return self.ttl_days_by_table.get(table, self.ttl_days)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of `tapcart_raw`."""

    name: str
    columns: tuple[Column, ...]
    order_by: str
    sharding: str  # an event's twins must meet on one shard
    partition_by: str = ""
    ttl_of: str = ""  # column
    topic: str = topics.EVENTS  # that its rows come from
    version: str = "_loaded_at"  # of two rows with one identity, the row with the greater value stays


LOG = Column("_log", "Int32", "The log of Kafka's topic that the record is from; 0: unknown.")
_PLACE = (
    LOG,
    Column("_partition", "Int32", "The record's partition in Kafka."),
    Column("_offset", "Int64", "The record's offset in Kafka."),
    Column("_appended_at", MOMENT, "The record's timestamp in Kafka."),
    Column("_loaded_at", MOMENT, "When the row was written.", default="now64(3)"),
)
# Marks have a table of their own, so a row that is loaded again keeps its mark.
REPLAYS = Table(
    "quarantine_replays",
    (
        Column("body_hash", "FixedString(16)", f"{_BODY_HASH} of the row in quarantine."),
        Column("replayed_at", MOMENT, "When the body became an event after all."),
    ),
    order_by="body_hash",
    sharding="sipHash64(body_hash)",
    version="replayed_at",
)
# Filled from `tapcart.audit` by `audit_copier`. Kept forever: the rows are few, and name no shopper.
AUDIT_TRAIL = Table(
    "audit_trail",
    (
        Column("audit_id", "String", "One action; its steps have the same."),
        Column("at", MOMENT, "When."),
        Column("action", "LowCardinality(String)", "What was done."),
        Column("state", "LowCardinality(String)", "started, done or failed."),
        Column("actor", "String", "The user and host that did it."),
        Column("count", "Nullable(UInt64)", "How many rows, records, releases or tokens."),
        Column("detail", "String", "The rest, without ids."),
        Column("_loaded_at", MOMENT, "When the row was written.", default="now64(3)"),
    ),
    order_by="at, audit_id, state",
    sharding="cityHash64(audit_id)",
)


def tables(catalog: Catalog) -> tuple[Table, ...]:
    """Return every table."""
    names = dict.fromkeys((release.family, release.name) for release in catalog.releases)
    releases = [[r for r in catalog.releases if (r.family, r.name) == name] for name in names]
    return (*map(_table, releases), REPLAYS, AUDIT_TRAIL)


def creations(found: Iterable[Table], options: Options) -> Iterator[str]:
    """Yield the statements that create databases and tables where they are absent."""
    everywhere = on_cluster(options)
    for database in (RAW, PUBLIC):
        yield f"CREATE DATABASE IF NOT EXISTS {database}{everywhere}"
    for table in found:
        yield from _creation(table, options)


def local(name: str, options: Options) -> str:
    """Return the name of the table that holds a server's rows."""
    return f"{name}_local" if options.cluster else name


def inserts(table: Table, options: Options) -> str:
    """Return the name of the table that rows are inserted into."""
    return f"{table.name}_inserts" if options.cluster and _has_lists(table) else table.name


def target(table: Table, names: Sequence[str], options: Options) -> str:
    """Return what follows INSERT INTO, up to FORMAT, for data with columns of these names."""
    into = f"{RAW}.{inserts(table, options)} ({', '.join(map(quoted, names))})"
    if inserts(table, options) == table.name:
        return into
    types = {column.name: column.type for column in table.columns}
    structure = ", ".join(f"{quoted(name)} {types[name]}" for name in names)
    return f"{into} SELECT * FROM input({literal(structure)})"  # noqa: S608 - our names


def definition(column: Column) -> str:
    """Return a column's definition."""
    value = f" MATERIALIZED {column.materialized}" if column.materialized else ""
    value = f" DEFAULT {column.default}" if column.default else value
    comment = f" COMMENT {literal(column.comment)}" if column.comment else ""
    codec = _CODECS.get(column.type, _CODEC)
    return f"{quoted(column.name)} {column.type}{value}{comment} CODEC({codec})"


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return f"`{name}`"


def literal(text: str) -> str:
    """Quote a text for SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def on_cluster(options: Options) -> str:
    """Return the clause that runs a statement on the whole cluster."""
    return f" ON CLUSTER {literal(options.cluster)}" if options.cluster else ""


def assignments(settings: Mapping[str, object]) -> str:
    """Return settings as SQL."""
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def _table(releases: list[Release]) -> Table:
    newest = max(releases, key=lambda release: release.version)
    found: dict[str, Column] = {}
    for release in sorted(releases, key=lambda release: release.version):
        found |= {column.name: column for column in columns(release.schema["fields"])}
    family, name = newest.family, newest.name
    if name == "Quarantine":
        body_hash = Column("body_hash", "FixedString(16)", "What a body is known by.", _BODY_HASH)
        return Table(
            table_name(name),
            (*found.values(), body_hash, *_PLACE),
            order_by="body_hash",
            sharding="sipHash64(body)",
            ttl_of="received_at",
            topic=topics.QUARANTINE,
        )
    if family == "clickstream":
        # Without the event's own time, there is no partition that a late twin would share.
        key = "app_id, event_id"
        return Table(
            table_name(name), (*found.values(), *_PLACE), key, f"cityHash64({key})", ttl_of="received_at"
        )
    # Types without a table of their own share one, and an id is unique within its type only.
    identity = IDENTITY if family == "mobile" else f"{IDENTITY}, event_type"
    return Table(
        table_name(name),
        (*found.values(), *_PLACE),
        order_by=identity,
        sharding="cityHash64(app_id, device_id)",
        partition_by="toYYYYMMDD(timestamp)",
        ttl_of="timestamp",
    )


def _creation(table: Table, options: Options) -> Iterator[str]:
    everywhere, local = on_cluster(options), physical(table, options)[0]
    lines = ",\n  ".join([*(definition(column) for column in table.columns), *_indices(table)])
    engine = f"ReplacingMergeTree({table.version})"
    if options.cluster:
        path = f"'/clickhouse/tables/{{shard}}/{RAW}/{local}', '{{replica}}'"
        engine = f"ReplicatedReplacingMergeTree({path}, {table.version})"
    clauses = [f"ENGINE = {engine}"]
    if table.partition_by:
        clauses.append(f"PARTITION BY {table.partition_by}")
    clauses.append(f"ORDER BY ({table.order_by})")
    if options.ttl_days_of(table.name) and table.ttl_of:
        clauses.append(ttl(table, options))
    clauses.append(f"SETTINGS {_settings(table, options)}")
    yield f"CREATE TABLE IF NOT EXISTS {RAW}.{local}{everywhere} (\n  {lines}\n)\n" + "\n".join(clauses)
    if options.cluster:
        shards = f"Distributed({literal(options.cluster)}, {RAW}, {local}, {table.sharding})"
        yield f"CREATE TABLE IF NOT EXISTS {RAW}.{table.name}{everywhere} AS {RAW}.{local} ENGINE = {shards}"
        if _has_lists(table):
            # Without files of its own it is made again each time, with the columns of today.
            columns = ",\n  ".join(_inserted(table))
            made = f"CREATE OR REPLACE TABLE {RAW}.{inserts(table, options)}{everywhere}"
            yield f"{made} (\n  {columns}\n)\nENGINE = {shards}"


def _inserted(table: Table) -> Iterator[str]:
    """Yield the columns that an insert may name.

    ClickHouse takes lists with dotted names for one Nested, and refuses lists of different lengths, in all
    tables but those that have `share_nested_offsets = 0`, which a Distributed one cannot. A Variant is no
    list; its shard makes it one again.
    """
    for column in table.columns:
        if not column.materialized:
            kind = f"Variant({column.type})" if column.type.startswith(_LIST) else column.type
            default = f" DEFAULT {column.default}" if column.default else ""
            yield f"{quoted(column.name)} {kind}{default}"


def _has_lists(table: Table) -> bool:
    return any(column.type.startswith(_LIST) for column in table.columns)


def ttl(table: Table, options: Options) -> str:
    """Return the clause that deletes rows after their time."""
    return f"TTL toDateTime({table.ttl_of}) + INTERVAL {options.ttl_days_of(table.name)} DAY"


def _indices(table: Table) -> list[str]:
    # The live page queries the latest loaded rows every second: 40 ms against 127 on 20 million rows.
    return ["INDEX loaded_at _loaded_at TYPE minmax"] if table.version == "_loaded_at" else []


def _settings(table: Table, options: Options) -> str:
    settings: dict[str, object] = {
        # Otherwise the lists of one block count as one Nested, and must all have one length.
        "share_nested_offsets": 0,
        "min_age_to_force_merge_seconds": options.settle_seconds,
        "min_age_to_force_merge_on_partition_only": 1,
        **SMALL_PARTS,
    }
    if options.ttl_days_of(table.name) and table.partition_by:
        settings["ttl_only_drop_parts"] = 1
    if has_json(table):
        settings |= COMPACT
    return assignments(settings)


def has_json(table: Table) -> bool:
    """Return whether a column is JSON."""
    return any(column.type == JSON for column in table.columns)


def physical(table: Table, options: Options) -> tuple[str, ...]:
    """Return the names of the tables that the table consists of; the first one has the files."""
    return tuple(dict.fromkeys((local(table.name, options), table.name)))
