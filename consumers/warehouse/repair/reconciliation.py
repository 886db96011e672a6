"""Kafka and ClickHouse -> the state of every record of our topics; and missing records, loaded again.

A record is accounted for if its offset has a row from this log of the topic; or its identity has one (a merge
removed the duplicate's row), for a type that had no schema also in the table of its new schema (`replay
--untyped` moved it); or the quarantine has its body; or it is of somebody
erased; or it is past the TTL.

Invariants: only offsets without a row are read from Kafka again; memory does not grow with their number;
committed offsets are never moved.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from consumers.kit.decode import Refusal
from consumers.kit.errors import TransientError
from consumers.kit.record import Place, Record
from consumers.warehouse.load.container import Format
from consumers.warehouse.load.flush import remains_of
from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.repair.offset_reader import OffsetRange, OffsetReader, PartitionOffsets
from consumers.warehouse.repair.reconcile_queries import Key, ReconcileQueries
from consumers.warehouse.settings import Settings
from runtime.kafka import topics
from runtime.retry import RetryPolicy, retrying
from runtime.waiting import wait_until
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.table_names import table_name

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
# Records checked together.
_TOGETHER, _TOGETHER_BYTES = 10_000, 64 * 1024 * 1024
_WAIT_SECONDS = 0.2
_RETRY_SECONDS_MAX, _PAUSE_SECONDS_MAX = 20.0, 2.0
_EVENT_KEY = ("app_id", "hour", "device_id", "event_id", "event_type")
_CLICKSTREAM_KEY = ("app_id", "event_id")


@dataclass(slots=True)
class PartitionCounts:
    """The counts of one partition: each record is in one of the counts from `rows` on."""

    low: int
    high: int
    lag: int  # records that the loader has not committed
    rows: int = 0  # offsets with a row
    merged: int = 0  # duplicates whose identity has a row
    quarantined: int = 0  # without their own row, but the quarantine has the body
    erased: int = 0  # of somebody erased
    expired: int = 0  # past the TTL
    empty: int = 0  # offsets without a record
    missing: int = 0


@dataclass(slots=True)
class ReconciliationReport:
    """The result of a reconciliation."""

    partitions: dict[Place, PartitionCounts] = field(default_factory=dict)
    missing: list[OffsetRange] = field(default_factory=list)
    gone: list[OffsetRange] = field(default_factory=list)  # never loaded, and deleted in Kafka
    types: Counter[str] = field(default_factory=Counter)  # of the records read again


@dataclass(frozen=True, slots=True)
class _Found:
    """A record read again, with the keys to look it up."""

    place: Place
    offset: int
    # The quarantine would have a body with one of these. A value with a correct checksum reaches ClickHouse
    # unchanged, and is kept so if ClickHouse rejects it; any other is decoded first.
    digests: frozenset[bytes]
    event_type: str = ""
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    key: Key = ()
    timestamp_ms: int | None = None
    is_erased: bool = False


class Reconciliation:
    """Compares Kafka and ClickHouse. Every method raises: TransientError."""

    def __init__(self, settings: Settings, reloader: SchemaReloader) -> None:
        self._parts = LoaderParts(settings, reloader)
        self._kafka = OffsetReader(settings.kafka, settings.group)
        self._options = settings.table_options
        self._lookup = ReconcileQueries(settings.clickhouse_url.get_secret_value(), self._options)

    @property
    def _tables(self) -> dict[str, list[str]]:
        """The tables of each topic."""
        formats = self._parts.bindings.by_topic.items()
        return {topic: sorted({form.table for form in forms.values()}) for topic, forms in formats}

    def wait(self, seconds_max: float) -> dict[Place, PartitionOffsets]:
        """Return the partitions' offsets once the loader has caught up with them, or after `seconds_max`."""
        logs = self._kafka.logs()
        committed: dict[Place, int] = {}

        def is_loaded() -> bool:
            committed.update((place, log.committed) for place, log in self._kafka.logs().items())
            return all(committed[place] >= log.high for place, log in logs.items())

        wait_until(is_loaded, seconds_max, _WAIT_SECONDS)
        return {place: replace(log, committed=committed[place]) for place, log in logs.items()}

    def report(self, logs: dict[Place, PartitionOffsets], now_ms: int) -> ReconciliationReport:
        """Reconcile all records of `logs`. `now_ms` decides which are past the TTL."""
        report = ReconciliationReport()
        self._parts.schemas.reload()  # the loader may have reloaded the schemas meanwhile
        gaps = self._count_rows(report, logs)
        for found in self._found_in(gaps):
            self._judge(found, report, now_ms)
        without_row: Counter[Place] = Counter()
        for gap in gaps:
            without_row[gap.topic, gap.partition] += gap.end - gap.start
        for place, counts in report.partitions.items():
            with_record = counts.merged + counts.quarantined + counts.erased + counts.expired + counts.missing
            counts.empty = without_row[place] - with_record
        return report

    def repair(self, ranges: Sequence[OffsetRange]) -> int:
        """Load the records of `ranges`; return their number. Raises: TooManyRefusedError."""
        records = self._kafka.records_side_by_side(ranges)
        return sum(self._parts.load(records, self._kafka.topic_ids().logs))

    def types(
        self, report: ReconciliationReport, logs: Mapping[Place, PartitionOffsets]
    ) -> dict[str, tuple[int, int, int]]:
        """Return event type -> (records still in Kafka, rows in raw tables, events in the views)."""
        counts = self._lookup.counts(self._tables[topics.EVENTS], logs)
        names = sorted(counts.keys() | report.types.keys())
        return {
            name: (within + report.types[name], raw, view)
            for name in names
            for within, raw, view in [counts.get(name, (0, 0, 0))]
        }

    def _count_rows(
        self, report: ReconciliationReport, logs: Mapping[Place, PartitionOffsets]
    ) -> list[OffsetRange]:
        """Add the partitions with their rows to the report; return the offsets without a row."""
        gaps: list[OffsetRange] = []
        for topic, tables in self._tables.items():
            self._lookup.sync(tables)
            some = {partition: log for (name, partition), log in logs.items() if name == topic}
            rows, ranges = self._lookup.gaps(topic, tables, some)
            gaps += ranges
            for partition, log in some.items():
                lag = max(0, log.high - max(log.committed, log.low))
                report.partitions[topic, partition] = PartitionCounts(log.low, log.high, lag, rows[partition])
                if log.committed < log.low:
                    report.gone.append(OffsetRange(topic, partition, log.committed, log.low))
        return gaps

    def _found_in(self, gaps: Sequence[OffsetRange]) -> Iterator[list[_Found]]:
        """Yield the records at these offsets, many at a time: each table is queried once for all of them."""
        found: list[_Found] = []
        size = 0
        for records in self._kafka.records(gaps):
            found += map(self._found, records)
            size += sum(len(record.value() or b"") for record in records)
            if len(found) >= _TOGETHER or size >= _TOGETHER_BYTES:
                yield found
                found, size = [], 0
        yield found

    def _judge(self, found: Sequence[_Found], report: ReconciliationReport, now_ms: int) -> None:
        report.types.update(one.event_type for one in found if one.event_type)
        there: set[tuple[str, Key]] = set()
        for table, columns in {(table, one.columns) for one in found for table in one.tables}:
            keys = {one.key for one in found if table in one.tables}
            there |= {(table, key) for key in self._lookup.keys(table, columns, keys)}
        for one in found:
            report.partitions[one.place].merged += _is_there(one, there)
        rest = [one for one in found if not _is_there(one, there)]
        kept = self._lookup.quarantined(digest for one in rest for digest in one.digests)
        for one in rest:
            partition = report.partitions[one.place]
            if not kept.isdisjoint(one.digests):
                partition.quarantined += 1
            elif one.is_erased:
                partition.erased += 1
            elif self._is_expired(one, now_ms):
                partition.expired += 1
            else:
                partition.missing += 1
                _extend(report.missing, one.place, one.offset)

    def _found(self, record: Record) -> _Found:
        place, offset = (record.topic() or "", record.partition() or 0), record.offset() or 0
        checked = self._parts.bindings.check(place[0], record)
        value = record.value() or b""
        erased = _retry()(self._parts.erasures.current)
        if isinstance(checked, Refusal):
            at_ms = checked.received_at_ms
            return _Found(
                place,
                offset,
                _digests(value, checked.body),
                timestamp_ms=at_ms,
                is_erased=erased.stops_body(checked.body, at_ms, checked.app_id or ""),
            )
        form, body = checked
        datum = self._parts.bindings.datum(form, body)
        if place[0] == topics.QUARANTINE:
            return _Found(
                place,
                offset,
                _digests(value, datum["body"]),
                timestamp_ms=datum["received_at"],
                is_erased=erased.stops(datum),
            )
        columns = _EVENT_KEY if "timestamp" in datum else _CLICKSTREAM_KEY
        return _Found(
            place,
            offset,
            _digests(value, form.prefix + body),
            datum.get("event_type", form.release.name),
            self._tables_of(form, datum),
            columns,
            tuple(_value(datum, column) for column in columns),
            datum.get("timestamp", datum["received_at"]),
            erased.stops(datum),
        )

    def _tables_of(self, form: Format, datum: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the tables that may have the event; untyped events may also be in their type's new table."""
        catalog = self._parts.schemas.catalog
        typed = catalog.newest(datum["event_type"]) if form.release.name == catalog.unmodelled.name else None
        return (form.table, table_name(typed.name)) if typed else (form.table,)

    def _is_expired(self, one: _Found, now_ms: int) -> bool:
        """Return whether a table that may have had the record has deleted it by its age."""
        at = one.timestamp_ms
        if at is None:
            return False
        tables = one.tables or (table_name(self._parts.schemas.catalog.quarantine.name),)
        kept = map(self._options.ttl_days_of, tables)
        return any(days and at < now_ms - days * _DAY_MS for days in kept)


def _retry() -> RetryPolicy:
    return retrying(TransientError, _PAUSE_SECONDS_MAX, seconds_max=_RETRY_SECONDS_MAX)


def _digests(*bodies: bytes) -> frozenset[bytes]:
    """Return the SHA-256 of all forms in which the quarantine may have a body."""
    return frozenset(sha256(form).digest() for body in {*bodies} for form in remains_of(body))


def _extend(ranges: list[OffsetRange], place: Place, offset: int) -> None:
    """Append an offset that follows all others of its partition."""
    last = ranges[-1] if ranges else None
    if last and (last.topic, last.partition, last.end) == (*place, offset):
        ranges[-1] = OffsetRange(*place, last.start, offset + 1)
    else:
        ranges.append(OffsetRange(*place, offset, offset + 1))


def _is_there(one: _Found, there: set[tuple[str, Key]]) -> bool:
    return any((table, one.key) in there for table in one.tables)


def _value(datum: dict[str, Any], column: str) -> Any:
    return datum["timestamp"] // _HOUR_MS * 3600 if column == "hour" else datum[column]
