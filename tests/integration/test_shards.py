"""Two shards give the answers of one server: in every view, and to the page and the commands."""

from collections.abc import Iterator

import pytest

from consumers.kit.erasures.erased_ids import DEVICE
from consumers.live import clickhouse as page
from consumers.warehouse.privacy import retention
from consumers.warehouse.privacy.eraser import Eraser
from consumers.warehouse.privacy.held_rows import HeldRows
from consumers.warehouse.privacy.people import People
from consumers.warehouse.repair.offset_reader import PartitionOffsets
from consumers.warehouse.repair.reconcile_queries import ReconcileQueries
from consumers.warehouse.repair.retype import Retyper, sources
from runtime.kafka import topics
from tests.analytics.compare import difference
from tests.analytics.expected import VIEWS
from tests.analytics.posted import bodies, rows
from tests.support.loaded_engine import LOG, LoadedEngine, two_shards
from tests.support.warehouse import NOW_MS, body, decoded

pytestmark = pytest.mark.slow

EVENTS = 1_000
PREFIX = "sharded-"
_VISITED = "SELECT device_id, arraySort(groupUniqArrayArray(events)) FROM tapcart_raw.visits"
_SENT = (
    "SELECT device_id, arraySort(groupUniqArray(cityHash64(event_type, event_id))) FROM tapcart_raw.events"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedEngine]:
    """An engine that is a cluster."""
    with two_shards(tmp_path_factory.mktemp("shards")) as engine:
        yield engine


@pytest.fixture(scope="module")
def sent(cluster: LoadedEngine) -> list[bytes]:
    """A month of events, some twice, on both shards."""
    month = bodies(EVENTS, PREFIX)

    assert cluster.load(*month) == len(month)
    for shard in range(2):
        here = f"cityHash64(app_id, device_id) % 2 = {shard}"
        assert cluster.tables.one(f"SELECT count() FROM tapcart_raw.app_opened_local WHERE {here}") > 0
    return month


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_that_of_one_server(cluster: LoadedEngine, sent: list[bytes], view: str) -> None:
    """An order, a session or a day has events on both shards, and duplicates count once."""
    assert difference(cluster.tables, view, PREFIX, VIEWS[view](rows(sent))) == ""


def test_reconcile_finds_offsets_and_identities_on_all_shards(
    cluster: LoadedEngine, sent: list[bytes]
) -> None:
    """Offsets without a row are listed, and identities that have one are found."""
    options = cluster.settings.table_options
    lookup = ReconcileQueries(cluster.url, options)
    forms = cluster.parts.bindings.by_topic[topics.EVENTS].values()
    tables = sorted({form.table for form in forms})
    log = PartitionOffsets(LOG, 0, len(sent) + 5, 0)
    counts, gaps = lookup.gaps(topics.EVENTS, tables, {0: log})
    merged = sum(gap.end - gap.start for gap in gaps) - 5
    by_type = lookup.counts(tables, {(topics.EVENTS, 0): log})
    known = {
        (found.app_id, found.event_id) for found in map(decoded, sent) if found.event_type == "AppOpened"
    }

    assert counts[0] + merged == len(sent)
    assert gaps[-1].end == len(sent) + 5
    assert sum(view for *_, view in by_type.values()) >= len(rows(sent))
    assert lookup.keys("app_opened", ("app_id", "event_id"), known | {("nobody", "x")}) == known


def test_the_page_has_all_its_numbers(cluster: LoadedEngine, sent: list[bytes]) -> None:
    """No query is refused, and the total is that of both shards."""
    limits = page.QueryLimits(query_seconds_max=60, query_share_max=1)
    source = page.ClickHouseSource(cluster.url, lambda: ["AppOpened"], limits, lambda *_: "", "UTC")
    status = source.poll(NOW_MS)

    assert status.troubles == {}
    assert status.total
    assert status.total.count >= len(rows(sent))


def test_untyped_rows_move_to_their_table(cluster: LoadedEngine) -> None:
    """They go from the shard that has them, once their identity has a row there."""
    names = "app_id, event_id, device_id, timestamp, received_at, event_type"
    when = "toDateTime64('2025-09-03 10:00:00', 3)"
    one_of_both = f"SELECT 'untyped', toString(number), toString(number), {when}, {when}, 'AppOpened'"
    cluster.parts.flusher.make_tables()
    cluster.tables.run(
        f"INSERT INTO tapcart_raw.unmodelled ({names}) {one_of_both} FROM numbers(40)",
        distributed_foreground_insert=1,
    )
    retyper = Retyper(cluster.parts, cluster.settings)
    source = next(sources(cluster.parts.schemas.catalog, "AppOpened"))
    report = retyper.move(source, [*retyper.days(source)])
    retyper.wait()
    left, moved = (
        cluster.tables.one(f"SELECT count() FROM tapcart.{table} WHERE app_id = 'untyped'")
        for table in ("unmodelled", "app_opened")
    )

    assert (report.written, dict(report.refused)) == (40, {})
    assert (left, moved) == (0, 40)


def test_an_erased_person_is_on_no_shard(cluster: LoadedEngine) -> None:
    """Of events and visits; others keep theirs."""
    events = [body(app_id="erasure", device_id=f"device-{n % 9}-of-somebody") for n in range(36)]
    cluster.load(*events, at=100_000)
    held = HeldRows(cluster.url)
    found = held.filter_of(People({DEVICE: ("device-4-of-somebody",)}, "erasure"))
    before = held.counts(found)
    Eraser(cluster.url, held, cluster.settings.table_options).erase(found, before.by_table)
    of_app = "WHERE app_id = 'erasure' GROUP BY device_id ORDER BY device_id"

    assert before.by_table["app_opened"] == 4
    assert before.by_table.keys() == {"app_opened", "visits"}
    assert held.counts(found).total == 0
    assert cluster.tables.one("SELECT count() FROM tapcart.events WHERE app_id = 'erasure'") == 32
    assert cluster.tables.rows(f"{_VISITED} {of_app}") == cluster.tables.rows(f"{_SENT} {of_app}")


def test_retention_shows_the_rows_of_all_shards(cluster: LoadedEngine, sent: list[bytes]) -> None:
    """Under the name that people query."""
    assert sent
    shown = {one.table: one for one in retention.held(cluster.url, cluster.settings.table_options)}

    assert shown["app_opened"].rows > 0
    assert shown["app_opened"].oldest is not None
    assert not [name for name in shown if name.endswith("_local")]
