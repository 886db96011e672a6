"""ClickHouse -> what each table of `tapcart_raw` keeps, and for how long.

Invariant: read-only, and from the tables themselves, so that a TTL altered by hand shows too.
Source: deploy/privacy.md, "What is kept where".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.tables import RAW, Options, literal, local, quoted

_SECONDS_MAX = 600.0
# A TTL of ours: `TTL toDateTime(timestamp) + toIntervalDay(30)`; of `visits`: `TTL day + toIntervalDay(30)`.
_TABLES = r"""
SELECT name, sum(total_rows), sum(total_bytes), any(extract(engine_full, ' TTL (.+?) SETTINGS ')) AS ttl,
    toUInt32OrZero(extract(ttl, '^[\\w()]+ \\+ toIntervalDay\\(([0-9]+)\\)$')) AS days
FROM {tables} WHERE database = {database:String} AND engine LIKE '%MergeTree'
GROUP BY name ORDER BY name
"""
# The time by which a row expires.
_TIMES = """
WITH ['timestamp', 'received_at', 'day', 'replayed_at'] AS times
SELECT table, argMin(name, indexOf(times, name)) FROM system.columns
WHERE database = {database:String} AND has(times, name) GROUP BY table
"""


@dataclass(frozen=True, slots=True)
class Held:
    """What one table holds."""

    table: str
    rows: int
    bytes: int
    oldest: datetime | None  # None: no rows
    ttl: str  # ClickHouse's expression; "": forever
    days: int  # of the TTL; 0: forever, or an expression that is not ours

    @property
    def goes_at(self) -> datetime | None:
        """Return when the oldest row expires, if that is known; ClickHouse may take a day or two longer."""
        return self.oldest + timedelta(days=self.days) if self.oldest and self.days else None


def held(url: str, options: Options) -> Iterator[Held]:
    """Yield what each table holds, on a cluster over all shards. Raises: TransientError."""
    with querying():
        client = connect(url, _SECONDS_MAX, readonly=2)
        found: Any = client.query(tables(options), parameters={"database": RAW}).result_rows
        of_time: Any = client.query(_TIMES, parameters={"database": RAW}).result_rows
        times: dict[str, str] = dict(of_time)
        for stored, rows, size, ttl, days in found:
            name = stored.removesuffix(local("", options))
            oldest = None
            if rows and name in times:
                oldest_ms = f"toUnixTimestamp64Milli(toDateTime64(min({quoted(times[name])}), 3, 'UTC'))"
                sql = f"SELECT {oldest_ms} FROM {RAW}.{quoted(name)}"  # noqa: S608 - our names
                ((milliseconds,),) = client.query(sql).result_rows
                oldest = datetime.fromtimestamp(milliseconds / 1000, UTC)
            yield Held(name, rows or 0, size or 0, oldest, ttl, days)


def tables(options: Options) -> str:
    """Return the query for the tables that have files, with their rows on one replica of each shard."""
    one_of_each = (
        f"cluster({literal(options.cluster)}, system.tables)" if options.cluster else "system.tables"
    )
    return _TABLES.replace("{tables}", one_of_each)
