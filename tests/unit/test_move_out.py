"""The SQL of a move to another ClickHouse server."""

from datetime import UTC, datetime

import pytest

from consumers.warehouse.tables import Options, Table, tables
from deploy.move_out import statements
from deploy.move_out.statements import TableDay
from tests.support.warehouse import CATALOG

TABLES = {table.name: table for table in tables(CATALOG)}
NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


def test_slices_share_out_a_day_by_identity() -> None:
    """All versions of a row are in one slice, so FINAL chooses among them."""
    day = TableDay(TABLES["app_opened"], "20260131", 3)
    sql = statements.digest(day, 2, ["app_id"], "1")

    key = "cityHash64(app_id, toStartOfHour(timestamp), cityHash64(device_id), event_id)"
    assert f"FROM tapcart_raw.app_opened FINAL PREWHERE {key} % 3 = 2 WHERE _partition_id = '20260131'" in sql


@pytest.mark.parametrize("name", sorted(TABLES))
def test_both_sides_read_the_same_rows(name: str) -> None:
    """What is copied is what is compared."""
    day = TableDay(TABLES[name], "all", 2)
    copied, compared = (
        function(day, 1, ["a"], "1").partition(" FROM ")[2]
        for function in (statements.rows, statements.digest)
    )

    assert copied == compared != ""


@pytest.mark.parametrize(
    ("name", "options", "condition"),
    [
        ("app_opened", Options(), "1"),
        ("app_opened", Options(ttl_days=30), "timestamp > toDateTime64('2026-01-03 12:00:00', 3, 'UTC')"),
        ("quarantine", Options(ttl_days=30), "received_at > toDateTime64('2026-01-03 12:00:00', 3, 'UTC')"),
        ("app_opened", Options(ttl_days=30, ttl_days_by_table={"app_opened": 0}), "1"),
        ("audit_trail", Options(ttl_days=30), "1"),
    ],
)
def test_rows_that_expire_within_a_day_do_not_count(name: str, options: Options, condition: str) -> None:
    """Each server deletes them in its own time, so they would differ for ever."""
    assert statements.unexpired(TABLES[name], options, NOW) == condition


def test_a_cluster_drops_the_local_part_on_all_servers() -> None:
    """The table that is read and written is the distributed one."""
    options, day = Options(cluster="main"), TableDay(TABLES["app_opened"], "20260131")
    marking = [*statements.marking("a database", options)]

    assert statements.removal(day, options) == (
        "ALTER TABLE tapcart_raw.app_opened_local ON CLUSTER 'main' DROP PARTITION ID '20260131'"
    )
    assert all(" ON CLUSTER 'main'" in statement for statement in marking)


def test_every_table_can_be_moved() -> None:
    """One that has no time of loading would be left out of the check for newer rows."""
    without = {name for name, table in TABLES.items() if not _has_loading_time(table)}

    assert without == {"quarantine_replays"}


def _has_loading_time(table: Table) -> bool:
    return "_loaded_at" in {column.name for column in table.columns}
