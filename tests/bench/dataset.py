"""A day of invented shoppers -> months of rows in the real tables, multiplied inside ClickHouse.

Invariants: the loader's own code creates the tables, and the first rows go its way (value, container, INSERT
... FORMAT Avro). ClickHouse copies them: each copy has ids of its own, and a device returns every twentieth
day. Every skew of `deploy.demo` stays: types, apps (Zipf), hours, empty columns.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from consumers.warehouse.clickhouse import ClickHouseStore, connect
from consumers.warehouse.load.container import Format, container, format_of, head_of
from consumers.warehouse.tables import RAW, Options, Table, quoted, tables
from deploy.demo.generator import Plan, generate
from schemas.catalog.catalog import Catalog
from schemas.catalog.table_names import table_name
from schemas.catalog.wire import HEADER_BYTES
from schemas.codec.events import EventDecoder
from schemas.codec.varint import long
from tests.support.waiting import eventually

DAY_MS = 86_400_000
START_MS = 20_600 * DAY_MS  # a midnight in May 2026; the first day of rows
_SAMPLE = "bench_sample"
_SECONDS_MAX = 3600.0
# Changes that make a row another event of another person, by column.
_AGAIN = {
    "event_id": "toString(reinterpretAsUUID(sipHash128(event_id, day, copy)))",
    "event_properties.event_id": "toString(reinterpretAsUUID(sipHash128(event_id, day, copy)))",
    "device_id": "if(device_id = '', '', toString(reinterpretAsUUID(sipHash128(device_id, day % 20, copy))))",
    "device_properties.device_id": "if(device_id = '', '',"
    " toString(reinterpretAsUUID(sipHash128(device_id, day % 20, copy))))",
    "session_id": "if(session_id = '', '', toString(reinterpretAsUUID(sipHash128(session_id, day, copy))))",
    "session_properties.session_id": "if(session_id = '', '',"
    " toString(reinterpretAsUUID(sipHash128(session_id, day, copy))))",
    # Of the same kind as before: the two events of a purchase are matched by it.
    "event_properties.checkout_id": "multiIf(`event_properties.checkout_id` = '', '',"
    " match(`event_properties.checkout_id`, '^[0-9]{1,20}$|/[0-9]+[?]'),"
    " toString(sipHash64(extract(`event_properties.checkout_id`, '([0-9]+)([?].*)?$'), day, copy)),"
    " lower(hex(sipHash128(lower(extract(`event_properties.checkout_id`, '([0-9a-fA-F]+)$')), day, copy))))",
    "timestamp": "timestamp + toIntervalDay(day)",
    "received_at": "received_at + toIntervalDay(day)",
    "_appended_at": "_appended_at + toIntervalDay(day)",
    "_offset": "_offset + (day * 16 + copy) * 1000000",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The amounts of data."""

    days: int = 60
    rows: int = 20_000_000
    apps: int = 50
    open_days: int = 10  # the last ones: in three parts, with some events twice


class DataSet:
    """The filled tables of one ClickHouse."""

    def __init__(self, url: str, shape: Shape) -> None:
        self.catalog = Catalog.load()
        self.shape = shape
        self.tables = tables(self.catalog)
        self.client = connect(url, _SECONDS_MAX)
        self._warehouse = ClickHouseStore(url, self.tables, Options(), _SECONDS_MAX)
        self._sample_rows = 0

    @property
    def typed(self) -> list[Table]:
        """The tables that have rows."""
        found = {table_name(release.name) for release in self.catalog.releases if release.family == "mobile"}
        return [table for table in self.tables if table.name in found]

    def make_sample(self) -> int:
        """Create the tables and a day's sample beside them; return its rows."""
        self._warehouse.make_tables()
        rows = min(100_000, max(2_000, self.shape.rows // self.shape.days))
        self._sample_rows = 0
        self.client.command(f"CREATE DATABASE IF NOT EXISTS {_SAMPLE}")
        for form, parts in self._containers(rows):
            self._warehouse.insert(form, container(form, parts))
            self._sample_rows += len(parts) // 2
        for table in self.typed:
            name = f"{_SAMPLE}.{table.name}"
            self.client.command(f"DROP TABLE IF EXISTS {name}")
            self.client.command(
                f"CREATE TABLE {name} ENGINE = MergeTree ORDER BY tuple()"
                f" SETTINGS share_nested_offsets = 0 AS SELECT * FROM {RAW}.{table.name}"
                f" WHERE toUnixTimestamp64Milli(timestamp) BETWEEN {START_MS} AND {START_MS + DAY_MS - 1}"
            )
            self.client.command(f"TRUNCATE TABLE {RAW}.{table.name}")
        return self._sample_rows

    def fill(self, days: range, parts: int) -> None:
        """Write each of these days in this many parts."""
        share = self.shape.rows / self.shape.days / max(1, self._sample_rows)
        for day in days:
            for part in range(parts):
                for table in self.typed:
                    self.client.command(self._copying(table, day, share, (part, parts)))

    def settle(self, days: range) -> None:
        """Merge each of these days into one part, as ClickHouse does by itself after some minutes."""
        for table in self.typed:
            for day in days:
                is_settled = partial(self._is_settled, table.name, _partition(day))
                eventually(is_settled, 60, f"one part of a day of {table.name}")

    def _is_settled(self, table: str, partition: str) -> bool:
        # This does nothing while ClickHouse itself merges parts of that day.
        self.client.command(f"OPTIMIZE TABLE {RAW}.{table} PARTITION ID '{partition}' FINAL")
        parts = self.client.command(
            "SELECT count() FROM system.parts WHERE active"
            f" AND database = '{RAW}' AND table = '{table}' AND partition_id = '{partition}'"
        )
        return int(str(parts)) <= 1

    def empty(self) -> None:
        """Delete all rows."""
        for table in self.typed:
            self.client.command(f"TRUNCATE TABLE {RAW}.{table.name}")

    def stop_merges(self) -> None:
        """Keep all parts as they are from now on."""
        for table in self.typed:
            self.client.command(f"SYSTEM STOP MERGES {RAW}.{table.name}")

    def _containers(self, rows: int) -> Iterator[tuple[Format, list[bytes]]]:
        decoder = EventDecoder(self.catalog)
        plan = Plan(START_MS, START_MS + DAY_MS, apps=self.shape.apps, events_per_day=rows)
        parts: dict[int, list[bytes]] = {}
        for number, post in enumerate(generate(plan)):
            if post.kind == "event":
                value = decoder.decode(post.body, {}).encode(post.sent_at_ms)
                head = head_of(1, number % 12) + long(number // 12) + long(post.sent_at_ms)
                parts.setdefault(int.from_bytes(value[1:HEADER_BYTES]), []).extend(
                    (value[HEADER_BYTES:], head)
                )
        for wire_id, found in parts.items():
            yield format_of(next(r for r in self.catalog.releases if r.wire_id == wire_id)), found

    def _copying(self, table: Table, day: int, share: float, part: tuple[int, int]) -> str:
        names = [c.name for c in table.columns if not c.materialized and c.name != "_loaded_at"]
        values = ", ".join(_AGAIN.get(name, quoted(name)) for name in names)
        number, parts = part
        # As they arrive: a part is a span of the day, with late events; a hundredth comes twice.
        arrival = (
            f"least(intDiv(toUnixTimestamp64Milli(received_at) - {START_MS}, {DAY_MS // parts}), {parts - 1})"
        )
        twice = f" OR (cityHash64(event_id, copy, 1) % 100 = 0 AND {arrival} = {number} - 1)"
        return (
            f"INSERT INTO {RAW}.{table.name} ({', '.join(map(quoted, names))})"
            f" WITH {day} AS day SELECT {values} FROM {_SAMPLE}.{table.name}"
            f" CROSS JOIN (SELECT number AS copy FROM numbers({int(share) + 1})) AS copies"
            f" WHERE copy + (cityHash64(event_id, 2) % 1000) / 1000 < {share}"
            f" AND ({arrival} = {number}{twice})"
        )


def _partition(day: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime((START_MS // DAY_MS + day) * 86_400))
