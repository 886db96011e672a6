"""Untyped rows -> the rows that today's schemas make of them, in ClickHouse alone.

Rows of `unmodelled` whose type has a table by now move there. Rows whose `extra` holds values that have a
column by now are written again. Each row is assembled into the posted body and read by ingest's rules. It
keeps its place and times (`_log`, `_partition`, `_offset`, `_appended_at`, `received_at`).

Invariants: a row leaves `unmodelled` only when its identity has a row in its own table, which the removing
statement itself checks. So a run may be killed at any line, and repeated. Until `wait` returns,
`tapcart.events` shows such an event twice. An unreadable or rejected row stays where it is.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.load.batch import RowGroup
from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.removals import Removals
from consumers.warehouse.replicas import synced
from consumers.warehouse.settings import Settings
from consumers.warehouse.tables import IDENTITY, RAW, Options, local, quoted
from runtime.kafka import topics
from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_model import Field
from schemas.catalog.table_names import table_name
from schemas.catalog.wire import HEADER_BYTES
from schemas.codec.events import EventDecoder
from schemas.codec.lenient import escaped, members_of
from schemas.codec.row_to_json import RowError, event_of
from schemas.codec.varint import long

_SECONDS_MAX = 300.0
# Rows read and inserted together; more would take more memory (2 KB a row).
_PAGE_ROWS = 20_000
# Days whose rows are moved together: an insert writes a part for each.
_DAYS_MAX = 100

_AFTER = "unhex({app_id:String}), toDateTime({hour:UInt32}, 'UTC'), {device:UInt64}, unhex({event_id:String})"
_PLACE = "_log, _partition, _offset, toUnixTimestamp64Milli(_appended_at)"
_PLACE_COLUMNS = 4
_NEXT = "hex(app_id), toUnixTimestamp(toStartOfHour(timestamp)), cityHash64(device_id), hex(event_id)"
_SETTINGS = {"do_not_merge_across_partitions_select_final": 1}


@dataclass(frozen=True, slots=True)
class UntypedRows:
    """Rows of one event type that may belong elsewhere."""

    event_type: str
    table: str  # the table that holds them
    fields: tuple[Field, ...]  # the fields whose columns that table has
    where: str
    paths: tuple[str, ...] = ()  # parameter of `where`: paths that `extra` may hold

    @property
    def moves(self) -> bool:
        """Whether the rows go to another table."""
        return self.table != table_name(self.event_type)


@dataclass(slots=True)
class RetypeReport:
    """Result for the rows of one source."""

    read: int = 0
    written: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # reason -> rows


class Retyper:
    """One run over the tables. Every method raises: TransientError."""

    def __init__(self, parts: LoaderParts, settings: Settings) -> None:
        self._parts = parts
        with querying():
            self._client = connect(settings.clickhouse_url.get_secret_value(), _SECONDS_MAX, **_SETTINGS)
        self._options = Options(cluster=settings.cluster)
        self._removals = Removals(self._client, self._options)
        self._decoder = EventDecoder(parts.schemas.catalog, is_bounded=False)

    def days(self, source: UntypedRows) -> dict[int, int]:
        """Return the number of rows to check per day (20260131)."""
        sql = (
            f"SELECT toYYYYMMDD(timestamp) AS day, count() FROM {RAW}.{source.table} FINAL"  # noqa: S608 - our names
            f" WHERE {source.where} GROUP BY day ORDER BY day"
        )
        return {day: count for day, count in self._rows(sql, _parameters(source))}  # noqa: C416 - typed so

    def move(self, source: UntypedRows, days: Sequence[int]) -> RetypeReport:
        """Move the rows of these days to their tables, and start to remove them where they were.

        Raises: TooManyRefusedError.
        """
        report = RetypeReport()
        for page in self._pages(source, days):
            groups = self._groups(source, page, report)
            report.read += len(page)
            for group in groups:
                refused = self._parts.flusher.inserts.insert(group, self._parts.bindings, len(group.parts))
                report.refused.update(error.detail[:200] for _, error in refused)
                report.written += len(group.parts) // 2 - len(refused)
        if source.moves and report.written:
            synced(self._client, [table_name(source.event_type)], self._options)
            where = _is_moved(source, self._options)
            self._removals.start(source.table, map(str, days), where, _parameters(source))
        return report

    def wait(self) -> None:
        """Wait until the rows are removed that `move` has moved."""
        self._removals.wait()

    def _pages(self, source: UntypedRows, days: Sequence[int]) -> Iterator[Sequence[Sequence[Any]]]:
        names = [_selected(name, one) for name, one in _leaves(source.fields).items()]
        head = f"SELECT {', '.join(names)}, {_PLACE}, {_NEXT} FROM {RAW}.{source.table} FINAL"  # noqa: S608 - our names
        where = f"WHERE toYYYYMMDD(timestamp) IN ({', '.join(map(str, days))}) AND {source.where}"
        tail = f"ORDER BY {IDENTITY} LIMIT {_PAGE_ROWS}"
        page = self._rows(f"{head} {where} {tail}", _parameters(source))
        while page:
            yield page
            if len(page) < _PAGE_ROWS:
                return
            after = dict(zip(("app_id", "hour", "device", "event_id"), page[-1][-4:], strict=True))
            parameters = {**_parameters(source), **after}
            page = self._rows(f"{head} {where} AND ({IDENTITY}) > ({_AFTER}) {tail}", parameters)

    def _groups(
        self, source: UntypedRows, page: Iterable[Sequence[Any]], report: RetypeReport
    ) -> list[RowGroup]:
        """Return the rows that improve when they are decoded again."""
        names = [*_leaves(source.fields)]
        forms = self._parts.bindings.by_topic[topics.EVENTS]
        groups: dict[bytes, RowGroup] = {}
        for row in page:
            columns = dict(zip(names, row, strict=False))
            try:
                event = event_of(self._decoder, source.fields, columns)
            except RowError as error:
                report.refused[str(error)[:200]] += 1
                continue
            if not source.moves and _keys(event.extra) == _keys(columns["extra"].encode()):
                continue
            value = event.encode(columns["received_at"])
            form = forms[value[:HEADER_BYTES]]
            at = b"".join(map(long, row[len(names) : len(names) + _PLACE_COLUMNS]))
            groups.setdefault(form.prefix, RowGroup(form, topics.EVENTS)).parts += (value[HEADER_BYTES:], at)
        return [*groups.values()]

    def _rows(self, sql: str, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        with querying():
            return self._client.query(sql, parameters={**parameters}).result_rows


def together(rows: Mapping[int, int]) -> Iterator[list[int]]:
    """Divide days, with the number of their rows, into groups that are moved together."""
    group: list[int] = []
    size = 0
    for day, count in rows.items():
        if group and (size + count > _PAGE_ROWS or len(group) == _DAYS_MAX):
            yield group
            group, size = [], 0
        group.append(day)
        size += count
    if group:
        yield group


def sources(catalog: Catalog, event_type: str | None) -> Iterator[UntypedRows]:
    """Yield the sources that may hold untyped rows, of one type or of all."""
    unmodelled = _fields(r for r in catalog.releases if r.name == catalog.unmodelled.name)
    for newest in catalog.newest_releases():
        if newest.family != "mobile" or event_type not in (None, newest.name):
            continue
        yield UntypedRows(
            newest.name, table_name(catalog.unmodelled.name), unmodelled, "event_type = {event_type:String}"
        )
        releases = (r for r in catalog.releases if (r.family, r.name) == ("mobile", newest.name))
        yield UntypedRows(
            newest.name,
            table_name(newest.name),
            _fields(sorted(releases, key=lambda release: release.version)),
            "extra != '' AND hasAny(JSONExtractKeys(extra), {paths:Array(String)})",
            _paths(newest),
        )


def _is_moved(source: UntypedRows, options: Options) -> str:
    """Return the condition for the rows of a partition whose identity has a row in its own table.

    Both tables have the same partitions and shards.
    """
    typed = local(table_name(source.event_type), options)
    return (
        f"{source.where} AND ({IDENTITY}) IN"  # noqa: S608 - our names
        f" (SELECT {IDENTITY} FROM {RAW}.{typed} WHERE _partition_id = {{partition:String}})"
    )


def _paths(release: Release) -> tuple[str, ...]:
    """Return the paths under which `extra` may hold values that the release has columns for."""
    found = []
    for known in schema_model.fields(release.schema):
        found.append(escaped(known.member))
        found += [f"{escaped(known.member)}.{escaped(inner.member)}" for inner in known.fields]
    return tuple(found)


def _fields(releases: Iterable[Release]) -> tuple[Field, ...]:
    return tuple(
        dict.fromkeys(field for release in releases for field in schema_model.fields(release.schema))
    )


def _leaves(fields: Iterable[Field]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for one in fields:
        found |= (
            {f"{one.name}.{inner.name}": inner for inner in one.fields} if one.fields else {one.name: one}
        )
    return found


def _selected(name: str, one: Field) -> str:
    return f"toUnixTimestamp64Milli({quoted(name)})" if one.kind == schema_model.MOMENT else quoted(name)


def _parameters(source: UntypedRows) -> dict[str, Any]:
    return {"event_type": source.event_type, "paths": [*source.paths]}


def _keys(extra: bytes | None) -> set[str]:
    return set(members_of(extra)) if extra else set()
