"""Queries of `reconcile` to ClickHouse: which offsets, identities and bodies have a row.

Invariant: only reads.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from consumers.kit.record import Place
from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.repair.offset_reader import OffsetRange, PartitionOffsets
from consumers.warehouse.replicas import synced
from consumers.warehouse.tables import RAW, Options
from runtime.kafka import topics

# The offsets are those of one topic's log: the quarantine's or the events'.
GAPS_SQL = Path(__file__).parents[2] / "reconcile.sql"

# A partition's bounds are at index number + 1. Clickstream events have no event_type.
_COUNTS_SQL = """
SELECT name, sum(within), sum(rows)
FROM
(
    SELECT
        name,
        _partition,
        groupBitmapIf(
            toUInt64(_offset),
            _log = {log:Int32}
            AND _offset >= {lows:Array(Int64)}[_partition + 1]
            AND _offset < {highs:Array(Int64)}[_partition + 1]
        ) AS within,
        count() AS rows
    FROM
    (
        SELECT toString(event_type) AS name, _log, _partition, _offset
        FROM merge('tapcart_raw', {tables:String})
        UNION ALL
        SELECT 'Clickstream' AS name, _log, _partition, _offset FROM tapcart_raw.clickstream
    )
    WHERE _partition >= 0
    GROUP BY name, _partition
)
GROUP BY name
"""
_VIEWS_SQL = """
SELECT toString(event_type) AS name, count() AS events FROM tapcart.events GROUP BY name
UNION ALL
SELECT 'Clickstream' AS name, count() AS events FROM tapcart.clickstream HAVING events > 0
"""
# Reading all bodies is far faster than sending some; one text is parsed faster than an array of thousands.
_BODIES_SQL = """
SELECT DISTINCT hex(SHA256(body)) FROM tapcart_raw.quarantine
WHERE SHA256(body) IN (SELECT toFixedString(unhex(arrayJoin(splitByChar(',', '{digests}'))), 32))
"""
_SECONDS_MAX = 300.0
_QUERY_BYTES_MAX = 8 * 1024 * 1024

Key = tuple[Any, ...]


class ReconcileQueries:
    """Runs the queries. Every method raises: TransientError."""

    def __init__(self, url: str, options: Options) -> None:
        with querying():
            self._client = connect(url, _SECONDS_MAX, max_query_size=2 * _QUERY_BYTES_MAX)
        self._options = options

    def sync(self, tables: Iterable[str]) -> None:
        """Return once every replica has the rows of these tables."""
        synced(self._client, tables, self._options)

    def gaps(
        self, topic: str, tables: Sequence[str], logs: Mapping[int, PartitionOffsets]
    ) -> tuple[dict[int, int], list[OffsetRange]]:
        """Return, by partition, how many offsets have a row, and the ranges without a row."""
        parameters = {
            "tables": f"^({'|'.join(tables)})$",
            "log": _log_of(logs.values()),
            "partitions": list(logs),
            "lows": [log.low for log in logs.values()],
            "highs": [log.high for log in logs.values()],
        }
        rows = dict.fromkeys(logs, 0)
        ranges = []
        for partition, count, starts, ends in self._rows(GAPS_SQL.read_text(), parameters):
            rows[partition] += count
            ranges += [OffsetRange(topic, partition, s, e + 1) for s, e in zip(starts, ends, strict=True)]
        return rows, ranges

    def keys(self, table: str, columns: Sequence[str], keys: Iterable[Key]) -> set[Key]:
        """Return the subset of `keys` (values of `columns`) that have a row."""
        found: set[Key] = set()
        names = ", ".join(_EXPRESSIONS.get(column, column) for column in columns)
        for some in _some(list(keys), _KEYS_MAX):
            sql = f"SELECT DISTINCT {names} FROM {RAW}.{table} WHERE ({names}) IN %(keys)s"  # noqa: S608 - our names
            found |= {tuple(row) for row in self._rows(sql, {"keys": some})}
        return found

    def quarantined(self, digests: Iterable[bytes]) -> set[bytes]:
        """Return the subset of `digests` (SHA-256) that are of bodies in the quarantine."""
        found: set[bytes] = set()
        for some in _some([(digest.hex(),) for digest in set(digests)], _DIGESTS_MAX):
            sql = _BODIES_SQL.format(digests=",".join(text for (text,) in some))
            with querying():
                # Not `query`, which scans the statement for comments, a limit and parameters.
                found |= {bytes.fromhex(line.decode()) for line in self._client.raw_query(sql).splitlines()}
        return found

    def counts(
        self, tables: Sequence[str], logs: Mapping[Place, PartitionOffsets]
    ) -> dict[str, tuple[int, int, int]]:
        """Return event type -> (offsets in `logs` that have a row, rows, events in the views)."""
        events = [logs[place] for place in sorted(logs) if place[0] == topics.EVENTS]
        parameters = {
            "tables": f"^({'|'.join(name for name in tables if name != 'clickstream')})$",
            "log": _log_of(events),
            "lows": [log.low for log in events],
            "highs": [log.high for log in events],
        }
        raw = {row[0]: (row[1], row[2]) for row in self._rows(_COUNTS_SQL, parameters)}
        view: dict[str, int] = {row[0]: row[1] for row in self._rows(_VIEWS_SQL, {})}
        return {name: (*raw.get(name, (0, 0)), view.get(name, 0)) for name in raw.keys() | view.keys()}

    def _rows(self, sql: str, parameters: dict[str, Any]) -> Sequence[Sequence[Any]]:
        with querying():
            return self._client.query(sql, parameters=parameters).result_rows


def _log_of(partitions: Iterable[PartitionOffsets]) -> int:
    """Return the log of a topic's partitions."""
    return next((one.log for one in partitions), topics.UNKNOWN_LOG)


_EXPRESSIONS = {"hour": "toUnixTimestamp(toStartOfHour(timestamp))"}


def _some(keys: Sequence[Key], keys_max: int) -> Iterator[list[Key]]:
    """Split `keys` into parts that fit a query."""
    part: list[Key] = []
    size = 0
    for key in keys:
        key_bytes = sum(len(str(value)) for value in key) * 2 + 20
        if part and (size + key_bytes > _QUERY_BYTES_MAX or len(part) >= keys_max):
            yield part
            part, size = [], 0
        part.append(key)
        size += key_bytes
    if part:
        yield part


_KEYS_MAX, _DIGESTS_MAX = 2_000, 50_000
