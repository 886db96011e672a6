"""The loader under failures: nothing is lost or duplicated, and it recovers."""

import io
import random
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fastavro
import pytest
from confluent_kafka import ConsumerGroupState, Message, Producer
from confluent_kafka.admin import AdminClient

from consumers.warehouse.clickhouse import ClickHouseStore
from consumers.warehouse.tables import Options, tables
from runtime.kafka import record_headers, topics
from schemas.catalog import wire
from schemas.catalog.table_names import table_name
from tests.support.stack import Stack
from tests.support.waiting import eventually, patience
from tests.support.warehouse import (
    CATALOG,
    GROUP,
    SAMPLES,
    Headers,
    Loader,
    Sender,
    Tables,
    body,
    crc,
    lag,
    load_backlog,
    make_topics,
    value,
)

pytestmark = pytest.mark.slow

# Dies after an insert, before its offsets are committed.
DIES_BEFORE_COMMIT = """
import os, runpy
from consumers.kit.group_consumer import GroupConsumer
GroupConsumer.commit = lambda self, offsets: os._exit(9) if offsets else None
runpy.run_module("consumers.warehouse", run_name="__main__")
"""


@dataclass
class Site:
    """The handles for breaking and checking."""

    stack: Stack
    folder: Path
    sender: Sender
    tables: Tables
    app: str
    loaders: list[Loader] = field(default_factory=list)

    def loader(self, *, wait: bool = True, command: tuple[str, ...] = (), **env: str) -> Loader:
        """Start a loader."""
        loader = Loader(self.stack.kafka, self.stack.clickhouse_url, self.folder, env)
        loader.command = command or loader.command
        self.loaders.append(loader)
        return loader.start(wait=wait)

    def send(self, count: int, name: str = "AppOpened") -> None:
        """Send events of this test's app."""
        self.sender.events(*(body(name, app_id=self.app) for _ in range(count)))

    def wait(self, count: int, view: str = "events", seconds_max: float = 30) -> None:
        """Wait until a view has this many events of this test's app."""
        self.tables.wait(
            f"SELECT count() FROM tapcart.{view} WHERE app_id = '{self.app}'", count, seconds_max
        )

    def lag(self) -> int:
        """Return the number of records that the group has not committed."""
        return lag(self.stack.kafka)

    def members(self) -> int:
        """Return the number of loaders in the group."""
        admin = AdminClient({"bootstrap.servers": self.stack.kafka})
        group = admin.describe_consumer_groups([GROUP])[GROUP].result()
        return len(group.members) if group.state == ConsumerGroupState.STABLE else -1


@pytest.fixture
def site(services: Stack, tmp_path: Path) -> Iterator[Site]:
    """The services, with all earlier records loaded; everything runs again afterwards."""
    app = f"app-{uuid.uuid4()}"
    load_backlog(services.kafka, services.clickhouse_url, tmp_path)
    # The tests look at tables before a loader that they start has created them.
    ClickHouseStore(services.clickhouse_url, tables(CATALOG), Options(), 30).make_tables()
    site = Site(services, tmp_path, Sender(services.kafka), Tables(services.clickhouse_url), app)
    yield site
    for name in ("clickhouse", "kafka"):
        services.kill(name, signal.SIGCONT)
    for loader in site.loaders:
        if loader.process.poll() is None:
            loader.kill()


def test_killed_between_insert_and_commit_loses_and_doubles_nothing(site: Site) -> None:
    """The next loader reads the same records again; identity removes duplicates."""
    dying = site.loader(wait=False, command=("-c", DIES_BEFORE_COMMIT))
    site.send(50)
    status = dying.process.wait(60 * patience())
    there = site.tables.one(f"SELECT count() FROM tapcart_raw.app_opened WHERE app_id = '{site.app}'")
    waiting = site.lag()
    loader = site.loader()
    eventually(lambda: site.lag() == 0, 30, "the end of the log")
    site.wait(50)

    assert (status, there, waiting) == (9, 50, 50)
    assert loader.stop() == 0


def test_killed_again_and_again_loses_nothing(site: Site) -> None:
    """SIGKILL at random moments, while events arrive."""
    for round_ in range(4):
        loader = site.loader(wait=False)
        site.send(100, "CartViewed")
        eventually(lambda seen=round_ * 80: _count(site) > seen, 60, "some rows")  # type: ignore[misc]
        loader.kill()
    loader = site.loader()
    site.wait(400)

    assert loader.stop() == 0


def test_two_loaders_share_the_work_and_one_takes_over(site: Site) -> None:
    """Both load; if one is killed, the other loads its partitions too."""
    loaders = [site.loader(), site.loader()]
    eventually(lambda: site.members() == len(loaders), 30, "two members")
    site.sender.events(*(body("CartViewed", app_id=f"{site.app}{n % 40}") for n in range(400)))
    sql = f"SELECT count() FROM tapcart.events WHERE startsWith(app_id, '{site.app}')"
    site.tables.wait(sql, 400)
    rows = [loader.metric("tapline_warehouse_rows_total") for loader in loaders]
    loaders[0].kill()
    site.sender.events(*(body("CartViewed", app_id=f"{site.app}{n % 40}") for n in range(400)))
    site.tables.wait(sql, 800)

    assert all(count > 0 for count in rows)
    assert loaders[1].stop() == 0


def test_loader_that_leaves_hands_over_without_a_gap(site: Site) -> None:
    """A second loader joins, the first one stops in order; no time-out is needed, nothing is lost."""
    first, second = site.loader(), site.loader()
    site.sender.events(*(body("CartViewed", app_id=f"{site.app}{n % 40}") for n in range(200)))
    status = first.stop()
    site.sender.events(*(body("CartViewed", app_id=f"{site.app}{n % 40}") for n in range(200)))
    site.tables.wait(f"SELECT count() FROM tapcart.events WHERE startsWith(app_id, '{site.app}')", 400, 5)

    assert (status, second.stop()) == (0, 0)


def test_table_dropped_under_the_loader_is_made_again(site: Site) -> None:
    """The next insert finds no table, creates it, and continues."""
    loader = site.loader()
    site.tables.run("DROP TABLE tapcart_raw.session_started SYNC")
    site.send(3, "SessionStarted")
    site.wait(3)

    assert loader.metric("tapline_warehouse_retries_total") >= 1
    assert site.tables.one(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{site.app}'") == 0
    assert loader.stop() == 0


def test_column_dropped_under_the_loader_is_added_again(site: Site) -> None:
    """No insert continues without a column for its values."""
    loader = site.loader()
    site.send(1, "CheckoutCreated")
    site.wait(1)
    site.tables.run("ALTER TABLE tapcart_raw.checkout_created DROP COLUMN `device_properties.locale`")
    site.send(2, "CheckoutCreated")
    site.wait(3)
    where = f"app_id = '{site.app}' AND device_properties.locale = 'en'"

    assert site.tables.one(f"SELECT count() FROM tapcart.checkout_created WHERE {where}") == 2
    assert loader.stop() == 0


def test_older_tables_are_extended_at_start(site: Site) -> None:
    """A newer schema's columns are added, including derived ones; a missing view is created again."""
    site.loader().stop()
    table = "tapcart_raw.push_notification_received"
    old = ("device_properties.carrier", "event_properties.title")
    existing = {row[0] for row in site.tables.rows(f"DESCRIBE TABLE {table}")}
    dropped = [column for column in old if column in existing]
    site.tables.run(f"ALTER TABLE {table} " + ", ".join(f"DROP COLUMN `{column}`" for column in dropped))
    site.tables.run("ALTER TABLE tapcart_raw.order_created DROP COLUMN `event_properties.total_price_amount`")
    site.tables.run("DROP VIEW tapcart.order_created SYNC")
    loader = site.loader()
    now = {row[0] for row in site.tables.rows(f"DESCRIBE TABLE {table}")}
    site.send(1, "OrderCreated")
    site.wait(1, "order_created")
    where = f"app_id = '{site.app}' AND `event_properties.total_price_amount` > 0"

    assert dropped
    assert now == existing
    assert site.tables.one(f"SELECT count() FROM tapcart.order_created WHERE {where}") == 1
    assert loader.stop() == 0


def test_older_json_is_bounded_at_start(site: Site) -> None:
    """A table from before JSON was bounded; its rows stay and can be queried."""
    site.loader().stop()
    table = "ALTER TABLE tapcart_raw.unmodelled"
    site.tables.run(f"{table} RESET SETTING min_bytes_for_wide_part")
    cast = "accurateCastOrDefault(raw, 'JSON')"
    site.tables.run(f"{table} MODIFY COLUMN event_properties JSON MATERIALIZED {cast}")
    wish = body(app_id=site.app, event_type="Wish", event_properties={"n": {"m": [1]}})
    site.sender.events(wish)
    loader = site.loader()
    bounded = "SELECT position(create_table_query, 'min_bytes_for_wide_part = 1099511627776') > 0"
    of_table = "FROM system.{} WHERE database = 'tapcart_raw' AND {} = 'unmodelled'"
    kind = f"SELECT type {of_table.format('columns', 'table')} AND name = 'event_properties'"
    site.wait(1, "unmodelled")

    site.tables.wait(kind, "JSON(max_dynamic_types=4, max_dynamic_paths=64)")
    assert site.tables.one(f"{bounded} {of_table.format('tables', 'name')}") == 1
    read = f"SELECT toString(event_properties.n.m) FROM tapcart.unmodelled WHERE app_id = '{site.app}'"
    assert site.tables.one(read) == "[1]"
    assert loader.stop() == 0


def test_loader_stays_in_the_group_while_clickhouse_hangs(site: Site) -> None:
    """It keeps polling with bounded memory, reports that it lives, and loads everything afterwards."""
    loader = site.loader(WAREHOUSE_BATCH_ROWS_MAX="20")
    eventually(lambda: site.members() == 1, 30, "one member")
    site.stack.kill("clickhouse", signal.SIGSTOP)
    site.send(300)
    eventually(lambda: loader.metric("tapline_warehouse_paused") == 1, 20, "the pause")
    _turn_on(loader, 1)
    at_pause = loader.metric("tapline_warehouse_held_bytes")
    _turn_on(loader, 7)  # beyond the group's session
    held = loader.metric("tapline_warehouse_held_bytes")
    stale = loader.metric("tapline_warehouse_freshness_seconds")
    seen = (site.members(), loader.get("/healthz")[0], loader.is_ready())
    site.stack.kill("clickhouse", signal.SIGCONT)
    site.wait(300)

    assert seen == (1, 200, True)
    assert 0 < held == at_pause
    assert stale > 5
    assert loader.stop() == 0


def test_loader_waits_for_clickhouse_at_start(site: Site) -> None:
    """Not ready, but alive and in the group, until the tables exist."""
    site.stack.kill("clickhouse", signal.SIGSTOP)
    loader = site.loader(wait=False)
    eventually(lambda: loader.get("/healthz")[0] == 200, 30, "life")
    eventually(lambda: site.members() == 1, 30, "one member")
    site.send(5)
    before = loader.get("/readyz")[0]
    site.stack.kill("clickhouse", signal.SIGCONT)
    site.wait(5)

    assert before == 503
    assert loader.is_ready()
    assert loader.stop() == 0


def test_clickhouse_killed_while_loading_loses_nothing(site: Site) -> None:
    """Refused connections and a cut insert are transient; nothing is quarantined."""
    loader = site.loader()
    site.send(200)
    eventually(lambda: _count(site) > 0, 30, "some rows")
    pid = site.stack.kill("clickhouse")
    site.send(200)
    eventually(lambda: site.stack.pid("clickhouse") != pid, 30, "another ClickHouse")
    site.wait(400)

    assert site.tables.one(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{site.app}'") == 0
    assert loader.stop() == 0


def test_lag_after_a_restart_is_what_waits(site: Site) -> None:
    """Partitions whose records are all loaded have no lag, although none were read since."""
    before = site.loader()
    site.send(5)
    site.wait(5)
    before.stop()
    loader = site.loader()
    eventually(lambda: 'topic="tapcart.events"' in loader.get("/metrics")[1], 30, "lags")

    eventually(lambda: loader.metric("tapline_warehouse_lag_records") == 0, 5, "no lag")
    assert loader.stop() == 0


def test_stop_inserts_and_commits_what_is_held(site: Site) -> None:
    """SIGTERM: the pending batch is loaded and committed before the process ends."""
    loader = site.loader(WAREHOUSE_BATCH_AGE_SECONDS_MAX="60")
    eventually(lambda: site.members() == 1, 30, "one member")
    site.send(10)
    eventually(lambda: loader.metric("tapline_warehouse_held_bytes") > 0, 20, "a batch")
    before = _count(site)

    assert (before, loader.stop(), _count(site), site.lag()) == (0, 0, 10, 0)


def test_stop_ends_in_time_while_clickhouse_hangs(site: Site) -> None:
    """Unfinished inserts are not committed, and the next loader loads them."""
    loader = site.loader(WAREHOUSE_SHUTDOWN_SECONDS_MAX="1")
    eventually(lambda: site.members() == 1, 30, "one member")
    site.stack.kill("clickhouse", signal.SIGSTOP)
    site.send(10)
    eventually(lambda: loader.metric("tapline_warehouse_held_bytes") > 0, 20, "a batch")
    loader.process.send_signal(signal.SIGTERM)
    status = loader.process.wait(10 * patience())
    site.stack.kill("clickhouse", signal.SIGCONT)
    waiting = site.lag()
    after = site.loader()
    site.wait(10)

    assert (status, waiting) == (0, 10)
    assert after.stop() == 0


def test_too_many_refused_rows_stop_the_process(site: Site) -> None:
    """Then the tables are wrong, not the events: nothing is quarantined or committed, exit status 1."""
    loader = site.loader(WAREHOUSE_REFUSED_ROWS_MAX="2", WAREHOUSE_BATCH_AGE_SECONDS_MAX="1")
    table = "tapcart_raw.product_viewed"
    site.tables.run(f"ALTER TABLE {table} ADD CONSTRAINT c CHECK app_id != '{site.app}'")
    site.send(10, "ProductViewed")
    status = loader.process.wait(30 * patience())
    site.tables.run(f"ALTER TABLE {table} DROP CONSTRAINT c")
    kept = site.tables.one(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{site.app}'")
    after = site.loader()
    site.wait(10)

    assert (status, kept) == (1, 0)
    assert "TooManyRefusedError" in loader.log.read_text()
    assert after.stop() == 0


def test_producers_newer_than_the_loader_stop_it(site: Site) -> None:
    """Records of ours with an unknown schema are not quarantined by the thousand."""
    data = wire.prefix(len(CATALOG.releases) + 1) + value(body(app_id=site.app))[wire.HEADER_BYTES :]
    loader = site.loader(WAREHOUSE_REFUSED_ROWS_MAX="2", WAREHOUSE_BATCH_AGE_SECONDS_MAX="1")
    for _ in range(10):
        site.sender.put(data, key=site.app.encode())
    site.sender.flush()
    status = loader.process.wait(30 * patience())
    after = site.loader()
    where = f"reason = 'unknown_schema' AND app_id = '{site.app}'"
    site.tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE {where}", 1)

    assert status == 1
    assert after.stop() == 0


def test_failed_quarantine_write_moves_no_offset(site: Site) -> None:
    """Kafka hangs when a refused record is to be kept: it is retried until acknowledged."""
    # Longer than Kafka hangs here, or the loader drops what it holds, to read it again.
    loader = site.loader(KAFKA_SESSION_TIMEOUT_MS="120000")
    eventually(lambda: site.members() == 1, 30, "one member")
    site.stack.kill("clickhouse", signal.SIGSTOP)
    site.send(1)
    site.sender.flush()
    eventually(lambda: loader.metric("tapline_warehouse_held_bytes") > 0, 20, "a batch")
    # Only a fetched record can be refused while Kafka hangs.
    held_bytes = loader.metric("tapline_warehouse_held_bytes")
    site.sender.put(b"junk " + site.app.encode(), headers=[], key=site.app.encode())
    site.sender.flush()
    eventually(lambda: loader.metric("tapline_warehouse_held_bytes") > held_bytes, 20, "what is refused")
    site.stack.kill("kafka", signal.SIGSTOP)
    site.stack.kill("clickhouse", signal.SIGCONT)
    eventually(
        lambda: loader.metric('tapline_warehouse_retries_total{target="quarantine"}') > 0, 30, "a retry"
    )
    site.stack.kill("kafka", signal.SIGCONT)
    site.tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{site.app}'", 1)

    eventually(lambda: site.lag() == 0, 30, "the end of the log")
    assert loader.stop() == 0


@pytest.mark.parametrize("seed", range(3))
def test_damaged_records_never_become_rows(site: Site, seed: int) -> None:
    """Cut, lengthened, random, spliced, with a wrong checksum or none: a correct row or in the quarantine."""
    chance = random.Random(seed)
    good = [value(body(name, app_id=site.app)) for name in SAMPLES for _ in range(3)]
    sent: dict[tuple[int, int], tuple[bytes, bool]] = {}
    producer = Producer({"bootstrap.servers": site.stack.kafka})
    make_topics(site.stack.kafka)
    for _ in range(300):
        data, headers = _damaged(chance, good)

        is_credible = dict(headers).get(record_headers.CRC32) in (None, wire.checksum(data))

        def keep(error: object, message: Message, it: tuple[bytes, bool] = (data, is_credible)) -> None:
            assert error is None
            sent[message.partition() or 0, message.offset() or 0] = it

        given: list[tuple[str, str | bytes | None]] = [*headers]
        producer.produce(topics.EVENTS, data, site.app.encode(), chance.randrange(12), keep, headers=given)
    assert producer.flush(30) == 0
    loader = site.loader()
    eventually(lambda: site.lag() == 0, 60, "the end of the log")
    names = "|".join(table_name(r.name) for r in CATALOG.releases if r.name != CATALOG.quarantine.name)
    columns = "_partition, _offset, event_id, app_id"
    rows = site.tables.rows(f"SELECT {columns} FROM merge('tapcart_raw', '^({names})$') WHERE _offset >= 0")
    places = {(partition, offset): (event, app) for partition, offset, event, app in rows}

    for place, (event_id, app_id) in places.items():
        if place in sent:
            data, is_credible = sent[place]
            assert is_credible
            assert (event_id, app_id) == _identity(data)
    bodies = site.tables.rows("SELECT hex(body) FROM tapcart.quarantine WHERE source = 'warehouse'")
    kept = {bytes.fromhex(text) for [text] in bodies}
    ids = {
        row[0] for row in site.tables.rows(f"SELECT event_id FROM tapcart.events WHERE app_id = '{site.app}'")
    }
    assert all(
        place in places or data in kept or _identity(data)[0] in ids for place, (data, _) in sent.items()
    )
    assert loader.stop() == 0


def _damaged(chance: random.Random, good: list[bytes]) -> tuple[bytes, Headers]:
    data, other = chance.choice(good), chance.choice(good)
    cut = chance.randrange(1, len(data))
    damaged = chance.choice(
        [
            data,
            data[:cut],
            data + chance.randbytes(chance.randrange(1, 9)),
            chance.randbytes(cut),
            data[:5] + chance.randbytes(cut),
            data[:cut] + other[chance.randrange(len(other)) :],
            data[:cut] + bytes([data[cut] ^ 1 << chance.randrange(8)]) + data[cut + 1 :],
        ]
    )
    return damaged, chance.choice(
        [[], crc(data), crc(other), [(record_headers.CRC32, b"")], [(record_headers.CRC32, None)]]
    )


def _identity(data: bytes) -> tuple[str, str]:
    """Return event_id and app_id, by an independent decoder of the whole value."""
    release = CATALOG.by_wire_id(wire.wire_id_of(data) or 0)
    assert release is not None
    stream = io.BytesIO(data[wire.HEADER_BYTES :])
    datum = fastavro.schemaless_reader(stream, release.schema, None)
    assert isinstance(datum, dict)
    assert not stream.read()
    return datum["event_id"], datum["app_id"]


def _turn_on(loader: Loader, seconds: float) -> None:
    """Wait until the loop has run for this long."""
    name = "tapline_warehouse_turned_at_seconds"
    end = loader.metric(name) + seconds
    eventually(lambda: loader.metric(name) > end, seconds + 15, f"{seconds} s of turns")


def _count(site: Site) -> int:
    return int(site.tables.one(f"SELECT count() FROM tapcart.events WHERE app_id = '{site.app}'"))
