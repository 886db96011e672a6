"""Contents and cost of the views: each event once, in any parts; only the needed days and apps are read.

`do_not_merge_across_partitions_select_final` is correct only while an identity never has two partitions.
"""

import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.warehouse.clickhouse import ClickHouseStore
from consumers.warehouse.tables import Options, tables
from tests.support.stack import Stack
from tests.support.warehouse import CATALOG, Tables

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
# Days that no other test uses.
DAY = 23_000
MIDNIGHT_MS = DAY * DAY_MS
GRANULE = 8192


@dataclass(frozen=True)
class Row:
    """The parts of an event's identity, and those decided by arrival."""

    device: int
    event: int
    offset_ms: int  # from a midnight
    received_day: int


# Few of each, so that duplicates are common; times near the borders of hours and days.
ROWS = st.builds(
    Row,
    device=st.integers(0, 2),
    event=st.integers(0, 2),
    offset_ms=st.builds(
        lambda hour, ms: hour * HOUR_MS + ms, st.integers(-2, 2), st.sampled_from([-1, 0, 1, HOUR_MS - 1])
    ),
    received_day=st.integers(0, 2),
)
# Each list is an insert, hence its own parts; None merges all days into one part.
STEPS = st.lists(st.one_of(st.lists(ROWS, min_size=1, max_size=12), st.none()), min_size=1, max_size=5)


@pytest.fixture(scope="module")
def clickhouse(services: Stack) -> Tables:
    """The engine with the loader's tables and views."""
    ClickHouseStore(services.clickhouse_url, tables(CATALOG), Options(), 60).make_tables()
    return Tables(services.clickhouse_url)


@given(steps=STEPS)
@settings(max_examples=25)
def test_no_view_ever_shows_a_duplicate(clickhouse: Tables, steps: Sequence[list[Row] | None]) -> None:
    """Each identity has one row, the last one loaded, for any hours, days, inserts and merges."""
    app = uuid.uuid4().hex
    expected: dict[tuple[int, int, int], int] = {}  # (hour, device, event) -> number of its last insert
    for number, step in enumerate(steps):
        if step is None:
            _settle(clickhouse, MIDNIGHT_MS - 1, MIDNIGHT_MS)
            continue
        expected |= {(row.offset_ms // HOUR_MS, row.device, row.event): number for row in step}
        clickhouse.run(_insert(app, number, step))

    for view, of_type in (("app_opened", ""), ("events", " AND event_type = 'AppOpened'")):
        found = clickhouse.rows(
            f"SELECT intDiv(toUnixTimestamp64Milli(timestamp) - {MIDNIGHT_MS - DAY_MS}, {HOUR_MS}) - 24,"
            f" toInt32(device_id), toInt32(event_id), toInt32(session_id)"
            f" FROM tapcart.{view} WHERE app_id = '{app}'{of_type}"
        )
        assert len(found) == len(expected), view
        assert {(hour, device, event): number for hour, device, event, number in found} == expected, view


def _settle(clickhouse: Tables, *times_ms: int) -> None:
    for at_ms in times_ms:
        day = time.strftime("%Y%m%d", time.gmtime(at_ms / 1000))
        clickhouse.run(f"OPTIMIZE TABLE tapcart_raw.app_opened PARTITION ID '{day}' FINAL")


def _insert(app: str, number: int, rows: Sequence[Row]) -> str:
    values = ", ".join(
        f"('AppOpened', '{app}', '{row.device}', '{row.event}', '{number}',"
        f" fromUnixTimestamp64Milli({MIDNIGHT_MS + row.offset_ms}),"
        f" fromUnixTimestamp64Milli({MIDNIGHT_MS + row.received_day * DAY_MS}),"
        f" fromUnixTimestamp64Milli({MIDNIGHT_MS + number}))"
        for row in rows
    )
    columns = "event_type, app_id, device_id, event_id, session_id, timestamp, received_at, _loaded_at"
    return f"INSERT INTO tapcart_raw.app_opened ({columns}) VALUES {values}"


@pytest.fixture(scope="module")
def filled(clickhouse: Tables) -> Tables:
    """Four apps on four days, a part per day, with several granules per app."""
    clickhouse.run(
        "INSERT INTO tapcart_raw.app_opened (event_type, app_id, device_id, event_id, timestamp)"
        " SELECT 'AppOpened', concat('read-', toString(number % 4)), toString(number), toString(number),"
        f" fromUnixTimestamp64Milli({MIDNIGHT_MS} + (10 + number % 16 DIV 4) * {DAY_MS} + number)"
        f" FROM numbers({16 * 3 * GRANULE})"
    )
    _settle(clickhouse, *(MIDNIGHT_MS + day * DAY_MS for day in range(10, 14)))
    return clickhouse


_OF_APP = "app_id = 'read-1'"
_OF_DAY = f"toDate(timestamp) = toDate({DAY + 11})"
_OF_TIME = (
    f"timestamp >= fromUnixTimestamp64Milli({MIDNIGHT_MS + 11 * DAY_MS})"
    f" AND timestamp < fromUnixTimestamp64Milli({MIDNIGHT_MS + 12 * DAY_MS})"
)


@pytest.mark.parametrize("view", ["app_opened", "events"])
@pytest.mark.parametrize(
    ("where", "parts", "granules"),
    [
        pytest.param(_OF_DAY, 1, 4 * 3 + 1, id="a day"),
        pytest.param(_OF_TIME, 1, 4 * 3 + 1, id="a span of time"),
        pytest.param(f"{_OF_APP} AND {_OF_DAY}", 1, 3 + 1, id="an app on a day"),
        pytest.param(_OF_APP, 4, 4 * (3 + 1), id="an app"),
    ],
)
def test_reads_nothing_but_the_days_and_apps_asked_for(
    filled: Tables, view: str, where: str, parts: int, granules: int
) -> None:
    """Other days' parts are not opened, nor other apps' granules read, except shared ones."""
    read = _read(filled, f"SELECT uniqExact(device_id) FROM tapcart.{view} WHERE {where}")

    assert read[0] == parts
    assert read[1] <= granules
    assert filled.one(f"SELECT count() FROM tapcart.{view} WHERE {where}") == _rows(where)


def _rows(where: str) -> int:
    return 3 * GRANULE * (1 if _OF_APP in where else 4) * (1 if where != _OF_APP else 4)


def _read(clickhouse: Tables, sql: str) -> tuple[int, int]:
    """Return the parts and granules of `app_opened` that a query reads."""
    plan = clickhouse.run(f"EXPLAIN indexes = 1 {sql} FORMAT TSVRaw")
    _, _, of_table = plan.partition("(tapcart_raw.app_opened)")
    found = re.search(r"Parts: (\d+) \| Granules: (\d+)\n", of_table)
    assert found, plan
    return int(found[1]), int(found[2])
