"""Releases become DDL: columns, identities, and the same on a cluster."""

import dataclasses
import re

import pytest

from consumers.warehouse.load.container import format_of
from consumers.warehouse.table_changes import (
    additions,
    bounds,
    differences,
    lack_log,
    missing_settings,
    retentions,
)
from consumers.warehouse.tables import (
    SMALL_PARTS,
    Options,
    Table,
    assignments,
    creations,
    definition,
    tables,
)
from consumers.warehouse.views import views
from runtime.kafka import topics
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.columns import Column
from schemas.catalog.table_names import table_name
from tests.support.warehouse import CATALOG

ALL = tables(CATALOG)
BY_NAME = {table.name: table for table in ALL}
TYPED = [release for release in CATALOG.newest_releases() if release.family == "mobile"]


def types(table: Table) -> dict[str, str]:
    """Return column -> type."""
    return {column.name: column.type for column in table.columns}


@pytest.mark.parametrize("release", CATALOG.releases, ids=lambda release: release.schema_id)
def test_every_field_has_its_column(release: Release) -> None:
    """Every column named by a container is in the table."""
    assert set(format_of(release).columns) <= set(types(BY_NAME[table_name(release.name)]))


def test_types_are_plain() -> None:
    """Texts are not Nullable, numbers and booleans are unless required, lists are lists."""
    found = types(BY_NAME["product_viewed"])

    assert found["event_id"] == "String"
    assert found["device_properties.os"] == found["app_id"] == "LowCardinality(String)"
    assert found["session_id"] == "String"
    assert found["timestamp"] == "DateTime64(3, 'UTC')"
    assert found["session_properties.session_start_time"] == "Nullable(DateTime64(3, 'UTC'))"
    assert found["device_properties.wifi"] == "Nullable(Bool)"
    assert found["event_properties.product_price_amount"] == "Nullable(Decimal(18, 4))"
    assert "Array(String)" in found.values()


def test_partition_is_a_function_of_the_event() -> None:
    """Arrival affects neither partition nor identity; types without a time have no partition."""
    for table in ALL:
        key = f"{table.partition_by} {table.order_by}"

        assert not re.search(r"received_at|_loaded_at|_appended_at|_offset|now\(", key)
    assert {table.name for table in ALL if not table.partition_by} == {
        "audit_trail",
        "clickstream",
        "quarantine",
        "quarantine_replays",
    }
    assert BY_NAME["unmodelled"].order_by.endswith("event_type")


def test_tables_are_made_so_that_lists_may_differ_in_length() -> None:
    """The setting cannot be changed later, so every CREATE has it."""
    made = [sql for sql in creations(ALL, Options()) if sql.startswith("CREATE TABLE")]

    assert len(made) == len(ALL)
    assert all("share_nested_offsets = 0" in sql for sql in made)
    assert all("min_age_to_force_merge_on_partition_only = 1" in sql for sql in made)


def test_ttl_is_the_events_own_time() -> None:
    """By setting; quarantine and clickstream only have the receive time; marks stay."""
    made = {
        sql.split("tapcart_raw.")[1].split()[0]: sql
        for sql in creations(ALL, Options(ttl_days=30))
        if "TABLE" in sql
    }

    assert "TTL toDateTime(timestamp) + INTERVAL 30 DAY" in made["app_opened"]
    assert "TTL toDateTime(received_at) + INTERVAL 30 DAY" in made["quarantine"]
    assert "TTL" not in made["quarantine_replays"]
    assert "TTL" not in made["audit_trail"]
    assert not any("TTL" in sql for sql in creations(ALL, Options()))


def test_an_existing_table_gets_another_retention() -> None:
    """At the next start, if it has none or another; without a setting, an operator's own stays."""
    settings = "SETTINGS index_granularity = 8192"
    ttl = "TTL toDateTime(timestamp) + toIntervalDay(30)"
    engines = {
        "app_opened": f"ReplacingMergeTree ORDER BY a {settings}",
        "app_installed": f"ReplacingMergeTree ORDER BY a {ttl} {settings}, ttl_only_drop_parts = 1",
        "quarantine": f"ReplacingMergeTree ORDER BY a {settings}",
        "quarantine_replays": f"ReplacingMergeTree ORDER BY a {settings}",
    }
    background = "SETTINGS alter_sync = 0, mutations_sync = 0"
    received = "TTL toDateTime(received_at) + INTERVAL 30 DAY"
    longer = [*retentions(ALL, engines, Options(ttl_days=300))]

    assert sorted(retentions(ALL, engines, Options(ttl_days=30))) == [
        "ALTER TABLE tapcart_raw.app_opened MODIFY SETTING ttl_only_drop_parts = 1",
        f"ALTER TABLE tapcart_raw.app_opened MODIFY TTL toDateTime(timestamp) + INTERVAL 30 DAY {background}",
        f"ALTER TABLE tapcart_raw.quarantine MODIFY {received} {background}",
    ]
    assert len(longer) == 4
    assert any("app_installed MODIFY TTL toDateTime(timestamp) + INTERVAL 300 DAY" in sql for sql in longer)
    assert [*retentions(ALL, engines, Options())] == []


def test_a_table_may_have_a_retention_of_its_own() -> None:
    """Shorter than the others', or forever."""
    options = Options(ttl_days=400, ttl_days_by_table={"app_opened": 9, "quarantine": 0})
    made = {sql.split("tapcart_raw.")[1].split()[0]: sql for sql in creations(ALL, options) if "TABLE" in sql}
    engines = dict.fromkeys(made, "ReplacingMergeTree SETTINGS a = 1")
    changed = " ".join(retentions(ALL, engines, options))

    assert "TTL toDateTime(timestamp) + INTERVAL 9 DAY" in made["app_opened"]
    assert "TTL toDateTime(timestamp) + INTERVAL 400 DAY" in made["app_installed"]
    assert "TTL" not in made["quarantine"]
    assert "app_opened MODIFY TTL toDateTime(timestamp) + INTERVAL 9 DAY" in changed
    assert "quarantine" not in changed


def test_cluster_makes_replicated_and_distributed_tables() -> None:
    """One setting: replicated local tables, and tables with the plain names over all shards."""
    made = list(creations(ALL, Options(cluster="prod")))
    text = "\n".join(made)

    assert all("ON CLUSTER 'prod'" in sql for sql in made)
    assert text.count("ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/") == len(ALL)
    assert (
        "CREATE TABLE IF NOT EXISTS tapcart_raw.app_opened ON CLUSTER 'prod' AS tapcart_raw.app_opened_local "
        "ENGINE = Distributed('prod', tapcart_raw, app_opened_local, cityHash64(app_id, device_id))"
    ) in made
    assert all("ON CLUSTER 'prod'" in sql for sql in views(ALL, Options(cluster="prod")))


def test_older_table_gets_what_it_lacks() -> None:
    """One ALTER per table, with derived columns after their texts; on a cluster for both tables."""
    table = BY_NAME["order_created"]
    lacks = {"event_properties.total_price", "event_properties.total_price_amount"}
    existing = {table.name: {name: kind for name, kind in types(table).items() if name not in lacks}}
    [sql] = additions([table], existing, {}, Options())
    both = list(additions([table], existing, {}, Options(cluster="c")))

    assert sql.startswith(
        "ALTER TABLE tapcart_raw.order_created ADD COLUMN IF NOT EXISTS `event_properties.total_price`"
    )
    assert "MATERIALIZED toDecimal64OrNull(`event_properties.total_price`, 4)" in sql
    assert [statement.split()[2] for statement in both] == [
        "tapcart_raw.order_created_local",
        "tapcart_raw.order_created",
    ]
    assert list(additions(ALL, {table.name: types(table) for table in ALL}, {}, Options())) == []


def test_rows_from_before_their_log_was_kept_get_the_log_in_use() -> None:
    """As the column's default, so no row is written again; a topic that does not exist has none of them."""
    older = {table.name: {n: t for n, t in types(table).items() if n != "_log"} for table in ALL}
    by_table = dict(zip(older, additions(ALL, older, {topics.EVENTS: 7}, Options()), strict=False))

    assert (lack_log(ALL, older), lack_log(ALL, {})) == (True, False)
    assert not lack_log(ALL, {table.name: types(table) for table in ALL})
    assert "ADD COLUMN IF NOT EXISTS `_log` Int32 DEFAULT 7 COMMENT" in by_table["app_opened"]
    assert "`_log` Int32 DEFAULT 0 COMMENT" in by_table["quarantine"]
    assert all("`_log` Int32 COMMENT" in sql for sql in creations(ALL, Options()) if "`_offset`" in sql)


def test_json_makes_a_bounded_number_of_columns_and_files() -> None:
    """Also in a table created before there was a limit."""
    table = BY_NAME["unmodelled"]
    [made] = [sql for sql in creations([table], Options()) if sql.startswith("CREATE TABLE")]
    older = {table.name: types(table) | {"event_properties": "JSON"}}
    [column] = bounds(ALL, older, Options())
    clustered = list(bounds(ALL, older, Options(cluster="c")))
    engine = f"ReplacingMergeTree SETTINGS {assignments(SMALL_PARTS)}"
    [setting] = missing_settings(ALL, {table.name: engine, "app_opened": engine}, Options())
    [on_cluster] = missing_settings(ALL, {f"{table.name}_local": engine}, Options(cluster="c"))

    assert "JSON(max_dynamic_types=4, max_dynamic_paths=64) MATERIALIZED" in made
    assert "min_bytes_for_wide_part = 1099511627776" in made
    assert (
        setting == "ALTER TABLE tapcart_raw.unmodelled MODIFY SETTING min_bytes_for_wide_part = 1099511627776"
    )
    assert column.startswith("ALTER TABLE tapcart_raw.unmodelled MODIFY COLUMN `event_properties` JSON(max_")
    assert [sql.split()[2] for sql in clustered] == [
        "tapcart_raw.unmodelled_local", "tapcart_raw.unmodelled",
    ]  # fmt: skip
    assert on_cluster.startswith("ALTER TABLE tapcart_raw.unmodelled_local ON CLUSTER 'c' MODIFY SETTING min")
    assert list(bounds(ALL, {table.name: types(table) for table in ALL}, Options())) == []


def test_settings_that_a_table_lacks_are_added() -> None:
    """Whatever its age, and whether it is of a release; an operator's values stay."""
    created = [sql for sql in creations(ALL, Options()) if sql.startswith("CREATE TABLE")]
    lacking = missing_settings(
        ALL, {"visits": "AggregatingMergeTree SETTINGS merge_selector_base = 5"}, Options()
    )

    assert all(assignments(SMALL_PARTS) in sql for sql in created)
    assert [*lacking] == ["ALTER TABLE tapcart_raw.visits MODIFY SETTING auto_statistics_types = ''"]


def test_column_of_another_type_is_told() -> None:
    """It stays unchanged, because changing it may lose data, but it is logged."""
    existing = {"app_opened": types(BY_NAME["app_opened"]) | {"session_id": "UInt8"}}

    assert list(differences(ALL, existing)) == [("app_opened", "session_id", "UInt8", "String")]


def test_table_has_columns_of_all_versions() -> None:
    """A column of a dropped field stays, and an added field gets one."""
    old = CATALOG.newest("AppInstalled")
    assert old is not None
    fields = [field for field in old.schema["fields"] if field["name"] != "timestamp_iso"]
    added = {"name": "brand_new", "type": ["null", "string"], "default": None, "doc": "New."}
    new = dataclasses.replace(
        old, wire_id=99, version=(6, 0, 0), schema={**old.schema, "fields": [*fields, added]}
    )
    [table] = [t for t in tables(Catalog((*CATALOG.releases, new))) if t.name == "app_installed"]

    assert {"timestamp_iso", "brand_new"} <= set(types(table))


def test_views_read_final_and_list_their_columns() -> None:
    """`*` omits derived columns; without FINAL duplicates count."""
    for sql in views(ALL, Options()):
        if sql.startswith("CREATE OR REPLACE VIEW"):
            assert "FINAL" in sql
            assert "SELECT *" not in sql
            assert "_loaded_at" not in sql


def test_events_has_what_all_types_share() -> None:
    """Envelope, four blocks and extra; no fields of a single type."""
    *_, merge, view = views(ALL, Options())
    names = re.findall(r"^  `([^`]+)`", merge, re.MULTILINE)

    assert names[:6] == ["event_type", "event_id", "app_id", "device_id", "timestamp", "received_at"]
    assert {name.partition(".")[0] for name in names if "." in name} == {
        "metadata",
        "device_properties",
        "shopify_properties",
        "session_properties",
        "app_properties",
    }
    assert {"extra", "_offset", "_loaded_at"} <= set(names)
    assert all(f"{table_name(release.name)}|" in merge for release in TYPED)
    assert "unmodelled)$" in merge
    assert view.startswith("CREATE OR REPLACE VIEW tapcart.events")


def test_quotes_in_words_do_not_end_a_comment() -> None:
    """Documentation has apostrophes and backslashes."""
    assert (
        definition(Column("a", "String", "it's \\ here"))
        == "`a` String COMMENT 'it\\'s \\\\ here' CODEC(ZSTD(1))"
    )
