"""Each analytics view equals an independent computation on the posted events, whatever happens to them."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from consumers.warehouse.clickhouse import ClickHouseStore
from consumers.warehouse.tables import Options, tables
from schemas.catalog.table_names import ANALYTICS_VIEWS
from tests.analytics.compare import difference
from tests.analytics.expected import VIEWS, orders
from tests.analytics.posted import bodies, post, rows
from tests.support.stack import ROOT, Stack
from tests.support.warehouse import CATALOG, Tables

pytestmark = pytest.mark.slow

EVENTS = 10_000
PREFIX = "month-"
VISITS = "FROM system.tables WHERE database = 'tapcart_raw' AND name = 'visits'"


class Month:
    """A month of posted and loaded events."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.tables = Tables(stack.clickhouse_url)
        self.posted = bodies(EVENTS, PREFIX)
        self.rows = rows(self.posted)
        post(stack.ingest_url, self.posted)
        of_ours = f"SELECT count() FROM tapcart.events WHERE startsWith(app_id, '{PREFIX}')"
        self.tables.wait(of_ours, len(self.rows), 200)

    def differences(self, events: pl.DataFrame, *views: str) -> list[str]:
        """Return how the views (by default all) differ from their correct contents for `events`."""
        named = views or tuple(VIEWS)
        found = (difference(self.tables, view, PREFIX, VIEWS[view](events)) for view in named)
        return [text for text in found if text]

    def warehouse(self, options: Options | None = None) -> ClickHouseStore:
        """Return the store with which a loader creates its tables."""
        return ClickHouseStore(self.stack.clickhouse_url, tables(CATALOG), options or Options(), 60)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """A month, posted out of order, with retries, duplicates and late events, on its own stack.

    Its batches are large: each touches all days of the month in all tables.
    """
    running = Stack(tmp_path_factory.mktemp("month"), "", {"WAREHOUSE_BATCH_AGE_SECONDS_MAX": "3"}).start()
    try:
        yield Month(running)
    finally:
        running.stop()


def test_every_view_is_computed_independently() -> None:
    """No view is added without its check."""
    assert {view.partition("(")[0] for view in VIEWS} == set(ANALYTICS_VIEWS)


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_equals_its_independent_computation(month: Month, view: str) -> None:
    """To the last digit."""
    assert month.differences(month.rows, view) == []


def test_a_week_is_reported(month: Month, tmp_path: Path) -> None:
    """By `make report`, by default for the app with most devices; the numbers are the views'."""
    out = tmp_path / "week.html"
    command = [sys.executable, "-m", "deploy.report", "--week", "2025-09-10", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=month.stack.env, capture_output=True, text=True, check=False)
    week = "day BETWEEN '2025-09-08' AND '2025-09-14'"
    [[app, sessions]] = month.tables.rows(
        f"SELECT app_id, count() FROM tapcart.sessions WHERE {week} GROUP BY app_id ORDER BY 2 DESC LIMIT 1"
    )

    assert done.stdout == f"{out}: {app}, 2025-09-08 to 2025-09-14\n", done.stderr
    assert f"<b>{sessions:,}</b>" in out.read_text()
    nothing = subprocess.run(
        [*command, "--app", "nobody"],
        cwd=ROOT,
        env=month.stack.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (nothing.returncode, nothing.stderr.count("\n")) == (1, 1)
    assert "there are no events of app nobody" in nothing.stderr


def test_replay_changes_no_view(month: Month) -> None:
    """Everything in Kafka is loaded again."""
    today = datetime.now(UTC).date()
    period = ["--from", str(today - timedelta(days=1)), "--to", str(today + timedelta(days=1))]
    env = month.stack.env | {
        "KAFKA_BOOTSTRAP_SERVERS": month.stack.kafka,
        "CLICKHOUSE_URL": month.stack.clickhouse_url,
    }
    command = [sys.executable, "-m", "consumers.replay", *period]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert month.differences(month.rows) == []


def test_what_the_views_read_is_made_again_when_it_was_dropped(month: Month) -> None:
    """By the running loader, at the next event, from the existing events."""
    month.tables.run("DROP TABLE tapcart_raw.visits SYNC")
    post(month.stack.ingest_url, month.posted[:1])
    month.tables.wait(
        f"SELECT startsWith(comment, 'filled') {VISITS}",
        1,
    )

    assert month.differences(month.rows) == []


def test_filling_goes_on_where_it_was_killed(month: Month) -> None:
    """An unfinished table is filled again; one of another definition is rebuilt."""
    for comment in ("filling", "filled"):
        is_ours = month.tables.one(f"SELECT splitByChar(' ', comment)[4] {VISITS}")
        told = f"{comment} by definition {is_ours if comment == 'filling' else 'other'}"
        month.tables.run("TRUNCATE TABLE tapcart_raw.visits")
        month.tables.run(f"ALTER TABLE tapcart_raw.visits MODIFY COMMENT '{told}'")
        month.warehouse().make_tables()

        assert month.differences(month.rows, "sessions", "funnel_daily") == []


def test_days_are_those_of_a_time_zone(month: Month) -> None:
    """It is a setting, and also applies to existing events."""
    zone = "America/New_York"
    try:
        month.warehouse(Options(time_zone=zone)).make_tables()

        assert month.differences(rows(month.posted, zone)) == []
    finally:
        month.warehouse().make_tables()
    assert month.differences(month.rows, "active_devices_daily") == []


def test_an_environment_is_left_out_of_every_view(month: Month) -> None:
    """Including its server events of the same session or device, and its orders."""
    excluded = rows(month.posted, excluded=["debug"])
    try:
        month.warehouse(Options(environments_excluded=(" Debug",))).make_tables()

        assert month.differences(excluded) == []
        assert 0 < excluded["left_out"].sum() < len(excluded)
        assert all(month.differences(month.rows, view) for view in ("orders", "sessions", "funnel_daily"))
    finally:
        month.warehouse().make_tables()


def test_how_far_apart_is_a_setting(month: Month) -> None:
    """Two events of one purchase that are further apart are two orders."""
    wanted = partial(orders, match_ms=60_000)
    try:
        month.warehouse(Options(match_minutes=1)).make_tables()

        assert difference(month.tables, "orders", PREFIX, wanted(month.rows)) == ""
        assert month.differences(month.rows, "orders") != []
    finally:
        month.warehouse().make_tables()


def test_an_older_folder_gets_the_views_of_now(month: Month) -> None:
    """The loader replaces an earlier version's views, with fewer columns and another `visits`."""
    month.tables.run(
        "CREATE OR REPLACE VIEW tapcart.orders AS SELECT app_id, event_properties.checkout_id AS checkout_id"
        " FROM tapcart.order_created"
    )
    for name in month.tables.rows("SELECT name FROM system.tables WHERE database = 'tapcart_raw'"):
        if name[0].startswith("visits"):
            month.tables.run(f"DROP TABLE tapcart_raw.{name[0]} SYNC")
    month.tables.run(
        "CREATE TABLE tapcart_raw.visits (app_id String) ENGINE = MergeTree ORDER BY app_id"
        " COMMENT 'filled by definition 0123456789ab'"
    )
    month.warehouse().make_tables()

    assert month.differences(month.rows, "orders", "sessions", "funnel_daily") == []
