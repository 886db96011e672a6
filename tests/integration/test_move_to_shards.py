"""move-out to a cluster: two shards take every day as the stack's own ClickHouse has it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from consumers.warehouse.tables import Options, tables
from deploy.move_out.mover import DayState, Mover
from deploy.move_out.sides import EmbeddedServer, OutsideServer
from tests.support.loaded_engine import one_server, two_shards
from tests.support.sharded_engine import CLUSTER
from tests.support.warehouse import CATALOG, body

pytestmark = pytest.mark.slow

_LISTS: tuple[dict[str, list[str] | None], ...] = (
    {"product_tags_list": ["a", "b", "c"], "product_badge_ids_list": ["d"]},
    {"product_tags_list": [], "product_badge_ids_list": None},
)


def test_two_shards_take_all_days(tmp_path: Path) -> None:
    """With lists of different lengths in one row, and the time of loading; a second run copies nothing."""
    here, there = tmp_path / "here", tmp_path / "there"
    found, now = tables(CATALOG), datetime.now(UTC)
    with one_server(here) as own, two_shards(there) as outside:
        lists = [body("ProductViewed", event_properties=one) for one in _LISTS for _ in range(10)]
        opened = [body(device_id=f"device-{number}") for number in range(20)]
        own.load(*lists, *opened, body(event_type="Wished"))
        source = EmbeddedServer(own.url, Options(), now)
        target = OutsideServer(outside.url, Options(cluster=CLUSTER), now, found)
        target.claim(source.identity)
        mover = Mover(source, target, found)
        mover.check()
        states = [{one.state for one in mover.move()} for _ in range(2)]
        loaded = "SELECT max(_loaded_at), count() FROM tapcart_raw.product_viewed"
        shards = "SELECT uniq(cityHash64(app_id, device_id) % 2) FROM tapcart_raw.app_opened_local"

        assert states == [{DayState.COPIED}, {DayState.EQUAL}]
        assert outside.tables.rows(loaded) == own.tables.rows(loaded)
        assert outside.tables.one(shards) == 2
