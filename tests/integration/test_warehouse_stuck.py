"""Rows that ClickHouse keeps rejecting with a code that usually passes; and similar outages."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from consumers.warehouse.clickhouse import ClickHouseStore
from consumers.warehouse.load.container import format_of
from consumers.warehouse.tables import Options, tables
from tests.support.refusing import LOST, Refusing
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.warehouse import CATALOG, Loader, Sender, Tables, body, catch_up

pytestmark = pytest.mark.slow

ENV = {"WAREHOUSE_STUCK_SECONDS_MAX": "1", "WAREHOUSE_RETRY_SECONDS_MAX": "0.2"}
STUCK = "tapline_warehouse_stuck"
SET_ASIDE = 'tapline_warehouse_quarantined_total{reason="set_aside"}'


@dataclass
class Site:
    """A loader behind a proxy that rejects chosen requests."""

    proxy: Refusing
    loader: Loader
    sender: Sender
    tables: Tables
    app: str

    def send(self, *sessions: str) -> None:
        """Send an event of the test's app for each session."""
        self.sender.events(*(body("CartViewed", app_id=self.app, session_id=session) for session in sessions))
        self.sender.flush()

    def loaded(self) -> int:
        """Return how many of them can be queried."""
        return int(self.tables.one(f"SELECT count() FROM tapcart.cart_viewed WHERE app_id = '{self.app}'"))

    def kept(self) -> list[list[str]]:
        """Return reason and detail of their rows in the quarantine."""
        return self.tables.rows(f"SELECT reason, detail FROM tapcart.quarantine WHERE app_id = '{self.app}'")


@pytest.fixture(scope="module")
def behind(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Refusing, Loader]]:
    """A proxy, and a loader behind it that gets stuck after a second."""
    ClickHouseStore(services.clickhouse_url, tables(CATALOG), Options(), 30).make_tables()
    Sender(services.kafka)
    with Refusing(services.clickhouse_url) as proxy:
        loader = Loader(services.kafka, proxy.url, tmp_path_factory.mktemp("stuck"), ENV).start()
        catch_up(services.kafka)
        yield proxy, loader
        assert loader.stop() == 0


@pytest.fixture
def site(services: Stack, behind: tuple[Refusing, Loader]) -> Iterator[Site]:
    """A site with the test's own app."""
    proxy, loader = behind
    yield Site(
        proxy, loader, Sender(services.kafka), Tables(services.clickhouse_url), f"stuck-{uuid.uuid4()}"
    )
    proxy.refuse = lambda _: 0


def is_insert(data: bytes, table: str = "") -> bool:
    """Return whether a request's body is an insert of the loader or a probe."""
    return data.startswith(f"INSERT INTO tapcart_raw.{table}".encode())


@pytest.mark.parametrize("code", [243, LOST])
def test_a_row_that_is_refused_for_ever_is_set_aside(site: Site, code: int) -> None:
    """By a code that usually passes, or without an answer: the others and later rows are loaded."""
    poison, before = f"poison {site.app}", site.loader.metric(SET_ASIDE)
    site.proxy.refuse = lambda data: code if is_insert(data, "cart_viewed") and poison.encode() in data else 0
    site.send("good", poison, "good", "good")
    eventually(lambda: site.loader.metric(STUCK) == 1, 30, "the gauge")
    eventually(lambda: site.loaded() == 3, 30, "the others")
    eventually(lambda: bool(site.kept()), 60, "the quarantine")
    site.send("after", "after")
    eventually(lambda: site.loaded() == 5, 30, "what came after")
    [[reason, detail]] = site.kept()

    assert reason == "set_aside"
    assert detail.startswith("repeatedly failed while other rows were stored")
    eventually(lambda: site.loader.metric(STUCK) == 0, 10, "the end of it")
    assert site.loader.metric(SET_ASIDE) == before + 1


def test_bytes_that_the_quarantine_is_refused_for_leave_a_digest(site: Site) -> None:
    """Bytes that every table rejects do not stop the quarantine either: Kafka has them."""
    poison = f"poison {site.app}"
    rows = "SELECT count() FROM tapcart.quarantine WHERE reason = 'set_aside' AND body LIKE 'sha256:%'"
    before = int(site.tables.one(rows))
    site.proxy.refuse = lambda data: 1002 if is_insert(data) and poison.encode() in data else 0
    site.send("good", poison)
    eventually(lambda: int(site.tables.one(rows)) == before + 1, 60, "the digest")
    site.send("after")
    eventually(lambda: site.loaded() == 2, 30, "what came after")


@pytest.mark.parametrize(
    ("code", "mark"), [(243, b"INSERT"), (LOST, b" FORMAT Avro\n")], ids=["disk", "front"]
)
def test_what_refuses_every_row_sets_none_aside(site: Site, code: int, mark: bytes) -> None:
    """A full disk, a proxy that breaks on containers: ClickHouse answers, and no row is to blame."""
    site.send("first")
    eventually(lambda: site.loaded() == 1, 30, "the first")
    site.proxy.refuse = lambda data: code if is_insert(data) and mark in data else 0
    site.send(*["good"] * 20)
    eventually(lambda: site.loader.metric(STUCK) == 1, 30, "the gauge")
    refused = site.proxy.refused
    eventually(lambda: site.proxy.refused > refused + 20, 60, "many more tries")
    kept = site.kept()
    site.proxy.refuse = lambda _: 0
    eventually(lambda: site.loaded() == 21, 30, "all of them")

    assert kept == site.kept() == []


def visits_of(site: Site) -> list[list[Any]]:
    """Return all visits; sets have no order."""
    rows = site.tables.rows("SELECT * FROM tapcart_raw.visits FINAL")
    inner = [[sorted(cell, key=repr) if isinstance(cell, list) else cell for cell in row] for row in rows]
    return sorted(inner, key=repr)


def test_another_row_is_written_again_without_a_trace(services: Stack, site: Site) -> None:
    """The probe that other rows can be stored changes neither the row nor the views."""
    site.send("one")
    eventually(lambda: site.loaded() == 1, 30, "the row")
    columns = "* EXCEPT _loaded_at FROM tapcart_raw.cart_viewed FINAL"
    before = site.tables.rows(f"SELECT {columns} ORDER BY ALL")
    visits = visits_of(site)
    warehouse = ClickHouseStore(services.clickhouse_url, tables(CATALOG), Options(), 30)
    form = format_of(next(one for one in CATALOG.newest_releases() if one.name == "CartViewed"))

    for day in (20251009, 20200101, None):
        assert warehouse.stores_another(form, day)
    assert site.tables.rows(f"SELECT {columns} ORDER BY ALL") == before
    assert visits_of(site) == visits
    warehouse.close()
