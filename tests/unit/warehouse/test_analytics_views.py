"""The analytics views as SQL: documented, cluster-ready, and harmless to the loader."""

import dataclasses
import re

from consumers.warehouse.analytics import views, visits
from consumers.warehouse.tables import Options, tables
from schemas.catalog.catalog import table_problems
from schemas.catalog.table_names import ANALYTICS_VIEWS
from tests.support.stack import ROOT
from tests.support.warehouse import CATALOG

PAGE = (ROOT / "consumers/warehouse/analytics/README.md").read_text()
NAMES = [table.name for table in tables(CATALOG)]


def test_the_page_has_every_definition() -> None:
    """Word for word as in ClickHouse."""
    said = dict(re.findall(r"^### `(\w+)`\n\n(.*?)\n(?:\n|\Z)", PAGE, re.DOTALL | re.MULTILINE))

    assert {name: " ".join(text.split()) for name, text in said.items()} == {
        view.name: view.definition for view in views.VIEWS
    }


def test_a_view_without_its_sources_is_left_out() -> None:
    """And views that read it; a folder of schemas may lack types."""
    made = [name for name, _ in views.statements([n for n in NAMES if n != "order_created"], Options())]

    assert "orders" not in made
    assert "revenue_daily" not in made
    assert "funnel_daily" in made
    assert [name for name, _ in views.statements(NAMES, Options())] == list(ANALYTICS_VIEWS)


def test_a_view_is_a_file_and_a_name() -> None:
    """No file is forgotten, and each comes after those that it reads."""
    files = {path.stem for path in (ROOT / "consumers/warehouse/analytics").glob("*.sql")}

    assert files == set(ANALYTICS_VIEWS)
    for index, view in enumerate(views.VIEWS):
        assert view.sources.isdisjoint(ANALYTICS_VIEWS[index:])


def test_all_is_made_on_a_cluster() -> None:
    """The views that feed `visits` stay on the events' shard; queries read all shards."""
    options = Options(cluster="prod", ttl_days=9)
    made = [*visits.creations(NAMES[:1], options), *(sql for _, sql in views.statements(NAMES, options))]

    assert all("ON CLUSTER 'prod'" in sql for sql in made)
    assert "ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/" in made[0]
    assert "TTL day + INTERVAL 9 DAY" in made[0]
    assert "Distributed('prod', tapcart_raw, visits_local, cityHash64(app_id, device_id))" in made[1]
    assert f"TO tapcart_raw.visits_local AS\n{'SELECT'}" in made[2]
    assert f"FROM tapcart_raw.{NAMES[0]}_local" in made[2]


def test_a_table_of_one_type_makes_its_own_steps_only() -> None:
    """Each insert pays for its view's computation; untyped events may be of any type."""
    names = ["app_opened", "purchase_completed", "collection_viewed", "unmodelled"]
    _, *feeders = visits.creations(names, Options())
    made = {name: re.findall(r"AS (\w+_at)\b", sql)[2:] for name, sql in zip(names, feeders, strict=True)}

    assert made == {
        "app_opened": ["opened_at"],
        "purchase_completed": ["ordered_at"],
        "collection_viewed": [],
        "unmodelled": ["opened_at", "viewed_at", "added_at", "checkout_at", "ordered_at"],
    }
    assert "event_type IN" in feeders[-1]
    assert not any("event_type IN" in sql for sql in feeders[:-1])


def test_another_time_zone_is_another_definition() -> None:
    """So the loader rebuilds the table; quotes cannot end a text."""
    assert visits.fingerprint(Options()) != visits.fingerprint(Options(time_zone="Asia/Tokyo"))
    assert "toDate(timestamp, 'Asia/Tokyo')" in visits.filling(20260131, Options(time_zone="Asia/Tokyo"))
    assert not any(re.search(r"\$[A-Z]", sql) for _, sql in views.statements(NAMES, Options()))


def test_settings_of_the_views_are_in_their_definitions() -> None:
    """Unless environments are excluded, no view filters them; quotes cannot end a text."""
    plain = dict(views.statements(NAMES, Options()))
    made = dict(views.statements(NAMES, Options(match_minutes=7, environments_excluded=(" QA's ",))))
    reading = {name for name in made if "'qa\\'s'" in made[name]}

    assert reading == {*ANALYTICS_VIEWS} - {
        *("revenue_daily", "funnel_daily", "attribution", "carts_abandoned"),  # these read the others
    }
    assert "<= 420000" in made["orders"]
    assert "<= 1800000" in plain["orders"]
    assert not any("NOT IN (SELECT" in sql for sql in plain.values())


def test_no_type_takes_a_name_of_ours() -> None:
    """A type's view would replace ours."""
    release = next(release for release in CATALOG.releases if release.name == "AppOpened")
    for name in (*ANALYTICS_VIEWS, visits.NAME, visits.feeder("app_opened")):
        of_theirs = dataclasses.replace(release, name="".join(map(str.capitalize, name.split("_"))))

        assert any("which is reserved" in problem for problem in table_problems([of_theirs])), name
