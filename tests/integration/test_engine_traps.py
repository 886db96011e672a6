"""Undocumented or surprising behaviour of ClickHouse with our inserts.

The loader's design avoids each of these traps; a test fails when an engine no longer behaves like that.
"""

import io
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import fastavro
import pytest

from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import SETTINGS, ClickHouseStore, connect
from consumers.warehouse.errors import PermanentError, TablesError
from consumers.warehouse.load.container import format_of
from consumers.warehouse.tables import Options, tables
from schemas.catalog.columns import JSON
from schemas.codec.varint import long
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.warehouse import CATALOG, Tables

LIST = {"type": "array", "items": "string"}
MOMENT = {"type": "long", "logicalType": "timestamp-millis"}
DAY_MS = 86_400_000


class Scratch(Tables):
    """A database for one test, with Avro inserts."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.name = f"trap_{uuid.uuid4().hex[:8]}"
        self.run(f"CREATE DATABASE {self.name}")

    def make(self, columns: str, rest: str = "ENGINE = MergeTree ORDER BY tuple()") -> str:
        """Make a table `t` and return its full name."""
        self.run(f"DROP TABLE IF EXISTS {self.name}.t SYNC")
        self.run(f"CREATE TABLE {self.name}.t ({columns}) {rest}")
        return f"{self.name}.t"

    def insert(
        self, schema: dict[str, Any], *rows: dict[str, Any], columns: str = "", **settings: Any
    ) -> str:
        """Insert rows of a schema as one Avro file, with the loader's settings and some others."""
        file = io.BytesIO()
        fastavro.writer(file, fastavro.parse_schema(schema), rows)
        return self.load(file.getvalue(), columns, **settings)

    def load(self, data: bytes, columns: str = "", **settings: Any) -> str:
        """Insert an Avro file."""
        sql = f"INSERT INTO {self.name}.t {columns} FORMAT Avro"
        return self.run(sql, data, **(SETTINGS | settings))


@pytest.fixture
def scratch(services: Stack) -> Iterator[Scratch]:
    """A database that is dropped afterwards."""
    scratch = Scratch(services.clickhouse_url)
    yield scratch
    scratch.run(f"DROP DATABASE {scratch.name} SYNC")


def record(name: str, **fields: Any) -> dict[str, Any]:
    """Return a record schema."""
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def test_nullable_record_fills_no_columns(scratch: Scratch) -> None:
    """So blocks are records of nullable fields, never null themselves."""
    inner = record("B", os=["null", "string"])
    scratch.make("`plain.os` String, `nullable.os` String")
    row = {"plain": {"os": "iOS"}, "nullable": {"os": "iOS"}}
    scratch.insert(record("R", plain=inner, nullable=["null", "B"]), row)

    assert scratch.rows(f"SELECT plain.os, nullable.os FROM {scratch.name}.t") == [["iOS", ""]]


def test_avro_text_does_not_go_into_json_column(scratch: Scratch) -> None:
    """So the text is stored, and JSON derived from it."""
    scratch.make("raw JSON")

    with pytest.raises(AssertionError, match="Code: "):
        scratch.insert(record("R", raw="string"), {"raw": '{"a": 1}'})


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": 1}, "a.b": 2}',
        '{"a": 1, "a": {"b": 2}}',
        '{"a": "\\ud83d"}',
        '{"a": "\\u0000"}',
        '{"a": 1e400, "b": 123456789012345678901234567890}',
        '{"": {}}',
        "[1, 2]",
        '"text"',
        "null",
        "",
        '{"a": ',
        '{"a": ' * 2000 + "1" + "}" * 2000,
        '{"a": ' + "[" * 800 + "]" * 800 + "}",
        "{" + ", ".join(f'"k{n}": {n}' for n in range(3000)) + "}",
        '{"a": "\udcff"}',
    ],
    ids=range(15),
)
def test_odd_text_never_fails_derived_json(scratch: Scratch, text: str) -> None:
    """With `type_json_skip_duplicated_paths`, `accurateCastOrDefault` accepts everything; a cast does not."""
    scratch.make(f"raw String, json {JSON} MATERIALIZED accurateCastOrDefault(raw, '{JSON}')")
    data = text.encode("utf-8", "surrogateescape")
    scratch.insert(record("R", raw="bytes"), {"raw": data})
    scratch.run(f"OPTIMIZE TABLE {scratch.name}.t FINAL")

    assert (
        scratch.one(f"SELECT hex(raw) FROM {scratch.name}.t WHERE toString(json) != ''") == data.hex().upper()
    )


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("JSON", ""), (JSON, ""), (JSON, "SETTINGS min_bytes_for_wide_part = 1099511627776")],
)
@pytest.mark.slow
def test_json_makes_files_by_path_unless_parts_are_compact(
    scratch: Scratch, kind: str, settings: str
) -> None:
    """A wide part of hundreds of paths has thousands of files, each open while it is written."""
    columns = f"raw String, json {kind} MATERIALIZED accurateCastOrDefault(raw, '{kind}')"
    scratch.make(columns, f"ENGINE = MergeTree ORDER BY tuple() {settings}")
    text = json.dumps({f"k{n}": ["x" * 2000, n, [n], True][n % 4] for n in range(300)})
    for _ in range(2):
        scratch.insert(record("R", raw="string"), *[{"raw": text}] * 40)
    scratch.run(f"OPTIMIZE TABLE {scratch.name}.t FINAL")
    files = scratch.one(f"SELECT max(files) FROM system.parts WHERE active AND database = '{scratch.name}'")

    assert files < 32 if settings else files > (900 if kind == "JSON" else 300)


def test_nulls_become_defaults_only_by_settings(scratch: Scratch) -> None:
    """Without the settings, a null for a String or a list is an error."""
    schema = record("R", text=["null", "string"], list=["null", LIST])
    scratch.make("text String, list Array(String)")
    scratch.insert(schema, {"text": None, "list": None})

    assert scratch.rows(f"SELECT text, list FROM {scratch.name}.t") == [["", []]]
    with pytest.raises(AssertionError, match="Code: "):
        row = {"text": None, "list": None}
        scratch.insert(schema, row, input_format_avro_null_as_default=0, input_format_null_as_default=0)


def test_lists_of_one_block_must_be_of_one_length(scratch: Scratch) -> None:
    """Dotted arrays with one prefix count as one Nested, unless `share_nested_offsets = 0`."""
    schema = record("R", p=record("P", a=LIST, b=LIST))
    row = {"p": {"a": ["x", "y"], "b": ["z"]}}
    scratch.make("`p.a` Array(String), `p.b` Array(String)")
    with pytest.raises(AssertionError, match="Code: 190"):
        scratch.insert(schema, row)
    own = "ENGINE = MergeTree ORDER BY tuple() SETTINGS share_nested_offsets = 0"
    scratch.make("`p.a` Array(String), `p.b` Array(String)", own)
    scratch.insert(schema, row)

    assert scratch.rows(f"SELECT p.a, p.b FROM {scratch.name}.t") == [[["x", "y"], ["z"]]]


def test_star_leaves_derived_columns_out(scratch: Scratch) -> None:
    """So views list their columns."""
    table = scratch.make(
        "price String, price_amount Nullable(Decimal(18, 4)) MATERIALIZED toDecimal64OrNull(price, 4)"
    )
    scratch.insert(record("R", price="string"), {"price": "50.25"})

    assert scratch.rows(f"SELECT * FROM {table}") == [["50.25"]]
    assert scratch.rows(f"SELECT price, price_amount FROM {table}") == [["50.25", 50.25]]


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("50.25", 50.25),
        ("-3", -3),
        ("", None),
        ("1,299.00", None),
        ("$5", None),
        (" 5", None),
        ("nan", None),
        ("99999999999999999999", None),
        ("5.55559", 5.5555),
    ],
)
def test_derived_number_is_null_where_there_is_none(
    scratch: Scratch, text: str, amount: float | None
) -> None:
    """No text makes an insert fail; digits beyond the fourth are truncated, not rounded."""
    table = scratch.make("t String, n Nullable(Decimal(18, 4)) MATERIALIZED toDecimal64OrNull(t, 4)")
    scratch.insert(record("R", t="string"), {"t": text})

    assert scratch.one(f"SELECT n FROM {table}") == amount


def test_missing_column_is_skipped_in_silence(scratch: Scratch) -> None:
    """So every insert names its columns: then it is refused, and the table is repaired."""
    scratch.make("a String")
    scratch.insert(record("R", a="string", b="string"), {"a": "1", "b": "lost"})

    assert scratch.one(f"SELECT count() FROM {scratch.name}.t") == 1
    with pytest.raises(AssertionError, match="Code: 16"):
        scratch.insert(record("R", a="string", b="string"), {"a": "1", "b": "lost"}, columns="(a, b)")


def test_code_252_means_two_things(scratch: Scratch) -> None:
    """Too many days in one insert is permanent, too many parts is not; only the text differs."""
    scratch.make("at DateTime64(3)", "ENGINE = MergeTree PARTITION BY toYYYYMMDD(at) ORDER BY tuple()")
    rows = [{"at": day * DAY_MS} for day in range(120)]
    with pytest.raises(AssertionError, match=r"Code: 252.*[Tt]oo many partitions") as days:
        scratch.insert(record("R", at=MOMENT), *rows, max_partitions_per_insert_block=100)
    scratch.insert(record("R", at=MOMENT), *rows)
    limits = "parts_to_throw_insert = 1, parts_to_delay_insert = 1"
    scratch.make("at DateTime64(3)", f"ENGINE = MergeTree ORDER BY tuple() SETTINGS {limits}")
    scratch.run(f"SYSTEM STOP MERGES {scratch.name}.t")
    scratch.insert(record("R", at=MOMENT), rows[0])
    with pytest.raises(AssertionError, match=r"Code: 252.*[Tt]oo many parts") as parts:
        scratch.insert(record("R", at=MOMENT), rows[0])

    assert "partitions" in str(days.value)
    assert "partitions" not in str(parts.value)


def test_far_times_wrap_in_silence(scratch: Scratch) -> None:
    """A DateTime wraps, so columns are DateTime64, and times are checked before."""
    table = scratch.make("at DateTime('UTC')")
    scratch.insert(record("R", at="long"), {"at": (1 << 32) + 5})

    assert scratch.one(f"SELECT toUnixTimestamp(at) FROM {table}") == 5


def test_hours_end_in_2106(scratch: Scratch) -> None:
    """`toStartOfHour`, in the sorting key, has 32 bits, so foreign events end at 2099."""
    later = "toStartOfHour(toDateTime64('2120-01-01 00:00:00', 3, 'UTC'))"

    assert scratch.one(f"SELECT {later} = toDateTime('2106-02-07 06:28:15', 'UTC')") == 1


def test_duplicates_in_two_partitions_stay(scratch: Scratch) -> None:
    """So the partition is a function of the event: by arrival, a late duplicate would count forever."""
    engine = "ENGINE = ReplacingMergeTree PARTITION BY day ORDER BY id"
    table = scratch.make("id String, day UInt32", engine)
    for day in (1, 2):
        scratch.insert(record("R", id="string", day="long"), {"id": "a", "day": day})
    scratch.run(f"OPTIMIZE TABLE {table} FINAL")
    setting = "SETTINGS do_not_merge_across_partitions_select_final = 1"

    assert scratch.one(f"SELECT count() FROM {table}") == 2
    assert scratch.one(f"SELECT count() FROM (SELECT * FROM {table} FINAL {setting})") == 2


def test_final_per_partition_shows_no_duplicate(scratch: Scratch) -> None:
    """With duplicates in many parts of several days, merged or not, the views' FINAL counts each once."""
    engine = "ENGINE = ReplacingMergeTree(v) PARTITION BY toYYYYMMDD(at) ORDER BY id"
    table = scratch.make("id String, at DateTime64(3, 'UTC'), v UInt64", engine)
    scratch.run(f"SYSTEM STOP MERGES {table}")
    schema = record("R", id="string", at=MOMENT, v="long")
    for version in range(6):
        rows = [
            {"id": f"{n}", "at": n % 5 * DAY_MS, "v": version}
            for n in range(version % 2, 500, 1 + version % 3)
        ]
        scratch.insert(schema, *rows)
    scratch.run(f"SYSTEM START MERGES {table}")
    scratch.run(f"OPTIMIZE TABLE {table} PARTITION 19700103 FINAL")
    setting = "SETTINGS do_not_merge_across_partitions_select_final = 1"
    counts = scratch.rows(f"SELECT count(), uniqExact(id) FROM (SELECT * FROM {table} FINAL {setting})")

    assert counts == [[500, 500]]


def test_quiet_partition_settles_into_one_part(scratch: Scratch) -> None:
    """`min_age_to_force_merge_seconds` merges a day without new rows."""
    aged = "min_age_to_force_merge_seconds = 1, min_age_to_force_merge_on_partition_only = 1"
    quick = "merge_selecting_sleep_ms = 100, max_merge_selecting_sleep_ms = 200"
    table = scratch.make("id UInt64", f"ENGINE = ReplacingMergeTree ORDER BY id SETTINGS {aged}, {quick}")
    for _ in range(3):
        scratch.insert(record("R", id="long"), {"id": 1})
    parts = f"SELECT count() FROM system.parts WHERE active AND database = '{scratch.name}'"

    eventually(lambda: scratch.one(parts) == 1, 30, "one part")
    assert scratch.one(f"SELECT count() FROM {table}") == 1


def test_reader_skips_bytes_that_follow_a_row(scratch: Scratch) -> None:
    """A lengthened body is accepted, with a wrong offset, so a checksum protects every body."""
    schema = record("R", id="string", _offset="long")
    table = scratch.make("id String, _offset Int64")
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), [])
    header, sync = file.getvalue(), file.getvalue()[-16:]
    row = long(3) + b"abc" + b"\x02\x02" + long(777)
    scratch.load(header + long(1) + long(len(row)) + row + sync)

    assert scratch.rows(f"SELECT id, _offset FROM {table}") == [["abc", 1]]


def test_damage_is_told_as_a_foreign_exception(scratch: Scratch, services: Stack) -> None:
    """Avro's errors arrive as 1001 STD_EXCEPTION; the loader recognises their text."""
    scratch.make("id String")
    warehouse = ClickHouseStore(services.clickhouse_url, tables(CATALOG), Options(), 30)
    warehouse.make_tables()

    with pytest.raises(AssertionError, match=r"Code: 1001.*avro::Exception"):
        scratch.load(b"")
    with pytest.raises(PermanentError):
        warehouse.insert(format_of(CATALOG.unmodelled), b"Obj\x01")


def test_refreshable_view_needs_an_atomic_database(scratch: Scratch) -> None:
    """It works in a database of the Atomic engine, like ours."""
    view = f"{scratch.name}.v REFRESH EVERY 1 HOUR ENGINE = Memory AS SELECT 1 AS id"
    scratch.run(f"CREATE MATERIALIZED VIEW {view}")

    assert scratch.one(f"SELECT engine FROM system.databases WHERE name = '{scratch.name}'") == "Atomic"
    eventually(lambda: scratch.one(f"SELECT count() FROM {scratch.name}.v") == 1, 20, "the refresh")


def test_errors_of_a_real_engine_are_told_apart(scratch: Scratch, services: Stack) -> None:
    """A missing table is distinguished from an engine that is down; both are retried."""
    form = format_of(CATALOG.unmodelled)
    warehouse = ClickHouseStore(services.clickhouse_url, tables(CATALOG), Options(), 30)
    unknown = replace(form, table=f"no_such_{scratch.name}")
    warehouse.tables = (*warehouse.tables, replace(warehouse.tables[0], name=f"gone_{scratch.name}"))
    gone = replace(form, table=f"gone_{scratch.name}")
    away = ClickHouseStore("http://127.0.0.1:1", tables(CATALOG), Options(), 30)

    for missing in (unknown, gone):
        with pytest.raises(TablesError):
            warehouse.insert(missing, b"")
    with pytest.raises(TransientError):
        away.insert(form, b"")


def test_limits_of_one_query_do_not_leak_into_the_next(services: Stack) -> None:
    """The loader's settings are sent with each insert; another client of the server has none of them."""
    client = connect(services.clickhouse_url, 10)
    value = client.query("SELECT value FROM system.settings WHERE name = 'max_partitions_per_insert_block'")
    client.close()

    assert value.result_rows != [("0",)]


def test_a_removal_of_one_day_is_a_task_for_every_part_and_there_is_room_for_many(scratch: Scratch) -> None:
    """All parts get a new name; with four tasks at a time, chDB's default, forty parts took six seconds."""
    name = scratch.make("day UInt32, id UInt32", "ENGINE = MergeTree PARTITION BY day ORDER BY id")
    scratch.run(f"INSERT INTO {name} SELECT number, 1 FROM numbers(40)")
    scratch.run(f"DELETE FROM {name} IN PARTITION ID '7' WHERE id = 1 SETTINGS lightweight_deletes_sync = 2")
    versions = (
        "SELECT count(), uniqExact(data_version) FROM system.parts"
        f" WHERE active AND database = '{scratch.name}' AND table = 't'"
    )
    tasks = (
        "SELECT arrayProduct(groupArray(toUInt32(value))) FROM system.server_settings"
        " WHERE name IN ('background_pool_size', 'background_merges_mutations_concurrency_ratio')"
    )

    assert scratch.rows(versions) == [[40, 1]]
    assert scratch.one(f"SELECT count() FROM {name}") == 39
    assert scratch.one(tasks) >= 64
