"""Event tables -> `tapcart_raw.visits`: a device's actions per session and day, kept current. Pure.

Invariants: values are minima, maxima and sets, so duplicates, late events and replays change nothing, and
filling the table while events are inserted is safe. The table's comment holds the definition that filled it;
another definition or time zone rebuilds it. Source: analytics/README.md; docs/decisions/0019-analytics.md.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from consumers.warehouse.tables import RAW, SMALL_PARTS, Options, Table, assignments, literal, on_cluster
from schemas.catalog.table_names import table_name

NAME = "visits"
_OF_ANY_TYPE = ("events", "unmodelled")  # the other tables hold one type each
_OF_NO_STEP = ""  # in the fingerprint: any table whose type is no step
_MOMENT = "DateTime64(3, 'UTC')"
_KEY = {
    "app_id": ("LowCardinality(String)", "app_id"),
    "day": ("Date", "toDate(timestamp, {zone})"),
    "device_id": ("String", "device_id"),
    "session_id": ("String", "session_id"),
    "environment": ("LowCardinality(String)", "`app_properties.environment`"),
    **{
        name: ("LowCardinality(String)", f"`session_properties.{name}`")
        for name in ("source", "utm_source", "utm_medium", "utm_campaign", "notification_id")
    },
}
_OF_A_VISIT = "device_id != '' OR session_id != ''"
_MOMENTS = f"SimpleAggregateFunction(groupUniqArrayArray, Array({_MOMENT}))"
_VALUES = {
    "started_at": (f"SimpleAggregateFunction(min, {_MOMENT})", "min(timestamp)"),
    "ended_at": (f"SimpleAggregateFunction(max, {_MOMENT})", "max(timestamp)"),
    # An event_id is unique only within its type. 64 bits suffice to compare within one session.
    "events": (
        "SimpleAggregateFunction(groupUniqArrayArray, Array(UInt64))",
        "groupUniqArray(cityHash64(event_type, event_id))",
    ),
}
# name -> type, aggregate of `timestamp`, counted event types. The order of steps within a day uses the
# earliest first step and the latest last step.
_STEPS = {
    "opened_at": (f"SimpleAggregateFunction(min, Nullable({_MOMENT}))", "minOrNull", ("AppOpened",)),
    "viewed_at": (_MOMENTS, "groupUniqArray", ("ProductViewed",)),
    "added_at": (_MOMENTS, "groupUniqArray", ("AddedToCart",)),
    "checkout_at": (_MOMENTS, "groupUniqArray", ("CheckoutCreated",)),
    "ordered_at": (
        f"SimpleAggregateFunction(max, Nullable({_MOMENT}))",
        "maxOrNull",
        ("OrderCreated", "PurchaseCompleted"),
    ),
}


def fingerprint(options: Options) -> str:
    """Return a hash of this definition, of which storage settings are no part."""
    stepping = [table_name(name) for *_, names in _STEPS.values() for name in names]
    selections = [_selection(table, "", options) for table in (*_OF_ANY_TYPE, _OF_NO_STEP, *stepping)]
    return sha256("\n".join([*_tables(options, "", ""), *selections]).encode()).hexdigest()[:12]


def mark(options: Options, *, filled: bool) -> str:
    """Return the comment of a table that has, or lacks, the rows older than itself."""
    return f"{'filled' if filled else 'filling'} by definition {fingerprint(options)}"


def feeder(table: str) -> str:
    """Return the name of the materialized view that feeds it from a table."""
    return f"{NAME}_of_{table}"


def sources(found: Sequence[Table]) -> list[str]:
    """Return the tables whose events have their own time."""
    return [table.name for table in found if table.partition_by]


def removals(feeders: Sequence[str], options: Options) -> Iterator[str]:
    """Yield the statements that remove everything of another definition."""
    names = [*feeders, NAME, *([f"{NAME}_local"] if options.cluster else [])]
    return (f"DROP TABLE IF EXISTS {RAW}.{name}{on_cluster(options)} SYNC" for name in names)


def creations(found: Sequence[str], options: Options) -> Iterator[str]:
    """Yield the statements that create the table and its feeders from the tables `found`."""
    comment, settings = mark(options, filled=False), f"SETTINGS {assignments(SMALL_PARTS)}\n"
    yield from _tables(options, comment, fingerprint(options), settings)
    local = "_local" if options.cluster else ""
    for name in found:
        yield (
            f"CREATE MATERIALIZED VIEW IF NOT EXISTS {RAW}.{feeder(name)}{on_cluster(options)}"
            f" TO {RAW}.{NAME}{local} AS\n{_selection(name, local, options)}"
        )


def marking(options: Options, *, filled: bool) -> str:
    """Return the statement that records whether it is filled."""
    return (
        f"ALTER TABLE {RAW}.{NAME}{on_cluster(options)}"
        f" MODIFY COMMENT {literal(mark(options, filled=filled))}"
    )


def days() -> str:
    """Return the query for the days with events: partitions, as numbers like 20260131."""
    return f"SELECT DISTINCT toYYYYMMDD(timestamp) AS day FROM {RAW}.events ORDER BY day"  # noqa: S608 - our names


def filling(day: int, options: Options) -> str:
    """Return the statement that adds the events of a day again."""
    selection = _selection("events", "", options, f"toYYYYMMDD(timestamp) = {day}")
    return f"INSERT INTO {RAW}.{NAME} ({', '.join(_KEY | _VALUES | _STEPS)})\n{selection}"


def _tables(options: Options, comment: str, definition: str, settings: str = "") -> Iterator[str]:
    lines = ",\n  ".join(f"{name} {kind}" for name, (kind, *_) in (_KEY | _VALUES | _STEPS).items())
    local = f"{NAME}_local" if options.cluster else NAME
    engine = "AggregatingMergeTree"
    if options.cluster:
        # A replica that is away has not dropped its table yet, so another definition needs another path.
        path = f"'/clickhouse/tables/{{shard}}/{RAW}/{local}/{definition}'"
        engine = f"ReplicatedAggregatingMergeTree({path}, '{{replica}}')"
    ttl = f"TTL day + INTERVAL {options.ttl_days} DAY\n" if options.ttl_days else ""
    yield (
        f"CREATE TABLE IF NOT EXISTS {RAW}.{local}{on_cluster(options)} (\n  {lines}\n)\n"
        f"ENGINE = {engine}\nPARTITION BY toYYYYMM(day)\nPRIMARY KEY (app_id, day)\n"
        f"ORDER BY ({', '.join(_KEY)})\n{ttl}{settings}COMMENT {literal(comment)}"
    )
    if options.cluster:
        shards = f"Distributed({literal(options.cluster)}, {RAW}, {local}, cityHash64(app_id, device_id))"
        yield (
            f"CREATE TABLE IF NOT EXISTS {RAW}.{NAME}{on_cluster(options)} AS {RAW}.{local}"
            f" ENGINE = {shards} COMMENT {literal(comment)}"
        )


def _selection(table: str, local: str, options: Options, where: str = "") -> str:
    """Return what a table adds; `local`: suffix of its name on a server of a cluster."""
    named = {name: expression for name, (_, expression) in (_KEY | _VALUES).items()} | _steps_of(table)
    selected = ",\n  ".join(f"{expression} AS {name}" for name, expression in named.items())
    zone = literal(options.time_zone)
    # An event without device and session belongs to no visit: all those of an app would share one row.
    condition = f"({_OF_A_VISIT}) AND {where}" if where else _OF_A_VISIT
    return (
        f"SELECT\n  {selected.replace('{zone}', zone)}\nFROM {RAW}.{table}{local}\nWHERE {condition}\n"
        f"GROUP BY {', '.join(_KEY)}"
    )


def _steps_of(table: str) -> dict[str, str]:
    """Return the steps that a table's events can be, with their expressions.

    A table of one type needs no condition per row and step (docs/decisions/0019-analytics.md).
    """
    if table in _OF_ANY_TYPE:
        return {
            name: f"{aggregate}If(timestamp, event_type IN ({', '.join(map(literal, types))}))"
            for name, (_, aggregate, types) in _STEPS.items()
        }
    return {
        name: f"{aggregate}(timestamp)"
        for name, (_, aggregate, types) in _STEPS.items()
        if table in map(table_name, types)
    }
