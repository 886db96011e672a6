"""The loader, run like an operator does, between a real Kafka and the real engine."""

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest

from consumers.warehouse.settings import Settings
from runtime.kafka import record_headers, topics
from schemas.catalog import wire
from schemas.catalog.table_names import table_name
from schemas.codec.events import encode_quarantine
from tests.support.stack import Stack
from tests.support.waiting import eventually, patience
from tests.support.warehouse import CATALOG, NOW_MS, SAMPLES, Loader, Sender, Tables, body, catch_up, value

PURCHASE_FIELDS = 27


@pytest.fixture(scope="module")
def loader(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    """A loader for all tests of this module, which has loaded all earlier records."""
    sender = Sender(services.kafka)
    loader = Loader(services.kafka, services.clickhouse_url, tmp_path_factory.mktemp("loader")).start()
    catch_up(services.kafka)
    yield loader
    assert loader.stop() == 0
    sender.flush()


@pytest.fixture
def sender(services: Stack) -> Sender:
    """A producer of events."""
    return Sender(services.kafka)


@pytest.fixture
def tables(services: Stack) -> Tables:
    """ClickHouse over HTTP."""
    return Tables(services.clickhouse_url)


@pytest.fixture
def app() -> str:
    """The test's own app_id, so that tests can share the topics."""
    return f"app-{uuid.uuid4()}"


def loaded(sender: Sender, tables: Tables, app: str, name: str) -> tuple[dict[str, Any], str]:
    """Return a sent and readable sample, and its view."""
    event: dict[str, Any] = json.loads(body(name, app_id=app))
    sender.events(json.dumps(event).encode())
    view = f"tapcart.{table_name(name)}"
    tables.wait(f"SELECT count() FROM {view} WHERE app_id = '{app}'", 1)
    return event, view


@pytest.mark.parametrize("name", SAMPLES)
def test_every_field_of_a_sample_is_in_its_column(
    loader: Loader, sender: Sender, tables: Tables, app: str, name: str
) -> None:
    """Tapcart's documented fields arrive in the columns of their paths, without being decoded by us."""
    catch_up(loader.kafka)  # damaged records of other tests are decoded by us
    checked = loader.metric("tapline_warehouse_checked_records_total")
    event, view = loaded(sender, tables, app, name)
    expected = dict(_columns(event))
    names = ", ".join(f"`{column}`" for column in expected)
    [row] = tables.rows(f"SELECT {names} FROM {view} WHERE app_id = '{app}'")

    assert dict(zip(expected, row, strict=True)) == expected
    assert loader.metric("tapline_warehouse_checked_records_total") == checked


@pytest.mark.parametrize("name", ["AddedToCart", "PurchaseCompleted", "CartUpdated", "ProductViewed"])
def test_numbers_stand_beside_their_texts(
    loader: Loader, sender: Sender, tables: Tables, app: str, name: str
) -> None:
    """`product_price` has `product_price_amount`; counts have `_number`; others are null."""
    event, view = loaded(sender, tables, app, name)
    derived = [
        row[0] for row in tables.rows(f"DESCRIBE TABLE {view}") if row[0].endswith(("_amount", "_number"))
    ]
    derived = [
        column for column in derived if column.rpartition("_")[0].split(".")[1] in event["event_properties"]
    ]
    names = ", ".join(f"toString(`{column}`)" for column in derived)
    [row] = tables.rows(f"SELECT {names} FROM {view} WHERE app_id = '{app}'")
    texts = [event["event_properties"][column.rpartition("_")[0].split(".")[1]] for column in derived]

    assert derived
    assert [_number(text) for text in texts] == [_number(text) for text in row]
    assert loader.process.poll() is None


def test_event_is_queryable_within_two_seconds(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """The view of all types has it too, under its own day, not that of its arrival."""
    sender.events(body("AppOpened", app_id=app, timestamp=1_663_008_666_001))
    tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", 1, 2)
    partition = tables.one(
        f"SELECT DISTINCT _partition_id FROM tapcart_raw.app_opened WHERE app_id = '{app}'"
    )

    assert partition == "20220912"
    assert loader.get("/healthz") == (200, "ok\n")


def test_everything_exists_before_the_first_event(loader: Loader, tables: Tables) -> None:
    """Tables and views of each type, of all events, unmodelled, quarantine and clickstream."""
    wanted = {table_name(release.name) for release in CATALOG.newest_releases()}
    views = {row[0] for row in tables.rows("SELECT name FROM system.tables WHERE database = 'tapcart'")}
    raw = {row[0] for row in tables.rows("SELECT name FROM system.tables WHERE database = 'tapcart_raw'")}

    assert views >= wanted | {"events"}
    assert raw >= wanted | {"events", "quarantine_replays"}
    assert loader.metric("tapline_warehouse_ready") == 1


def test_describe_tells_what_a_column_means(loader: Loader, tables: Tables) -> None:
    """The schema's docs are the columns' comments, in tables and views."""
    for database in ("tapcart", "tapcart_raw"):
        rows = tables.rows(f"DESCRIBE TABLE {database}.app_opened")
        comments = {row[0]: row[4] for row in rows}

        assert "operating system" in comments["device_properties.os"]
        assert all(comments[name] for name in comments)
    assert loader.is_ready()


def test_thousand_duplicates_count_once(loader: Loader, sender: Sender, tables: Tables, app: str) -> None:
    """Sent a thousand times in several batches, an event counts once in its view and among all."""
    data = value(body("CartViewed", app_id=app, event_id="the one"))
    for _ in range(10):
        for _ in range(100):
            sender.put(data, key=app.encode())
        sender.flush()
    sender.events(body("CartViewed", app_id=app, event_id="the last"))
    for view in ("cart_viewed", "events"):
        tables.wait(f"SELECT count() FROM tapcart.{view} WHERE app_id = '{app}'", 2)

    assert loader.process.poll() is None


def test_one_id_in_two_apps_is_two_events(loader: Loader, sender: Sender, tables: Tables, app: str) -> None:
    """Identity includes the app, and for unmodelled events also the type."""
    event = json.loads(body("AppOpened", app_id=app, event_id="same"))
    sender.events(
        *(json.dumps(event | {"app_id": f"{app}{n}"}).encode() for n in (1, 2)),
        *(json.dumps(event | {"event_type": f"New{n}"}).encode() for n in (1, 2)),
    )

    tables.wait(f"SELECT count() FROM tapcart.app_opened WHERE startsWith(app_id, '{app}')", 2)
    tables.wait(f"SELECT count() FROM tapcart.unmodelled WHERE app_id = '{app}'", 2)
    tables.wait(f"SELECT count() FROM tapcart.events WHERE startsWith(app_id, '{app}')", 4)
    assert loader.process.poll() is None


def test_unmodelled_event_is_queryable_by_its_properties(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """A type without a schema arrives with its properties as JSON; odd ones as text."""
    properties = {"list": {"name": "gifts", "items": [1, 2]}, "b.c": 1}
    sender.events(
        body("AppOpened", app_id=app, event_type="WishlistShared", event_properties=properties),
        body("AppOpened", app_id=app, event_type="Odd", event_properties={"a": 1, "b": {"c": 2}, "b.c": 3}),
    )
    tables.wait(f"SELECT count() FROM tapcart.unmodelled WHERE app_id = '{app}'", 2)
    sql = f"FROM tapcart.unmodelled WHERE app_id = '{app}' AND event_type = 'WishlistShared'"

    assert tables.one(f"SELECT event_properties.list.name::String {sql}") == "gifts"
    assert json.loads(tables.one(f"SELECT raw {sql}")) == properties
    tables.wait(
        f"SELECT count() FROM tapcart.events WHERE event_type = 'WishlistShared' AND app_id = '{app}'", 1
    )
    assert loader.process.poll() is None


def test_new_field_and_version_lose_nothing(loader: Loader, sender: Sender, tables: Tables, app: str) -> None:
    """An unknown field is in `extra`, the version as sent in its column."""
    sender.events(
        body("AppOpened", app_id=app, metadata={"schema_id": "Event_AppOpened_6_0_0"}, brand_new={"a": [1]})
    )
    tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", 1)
    [[extra, schema_id]] = tables.rows(
        f"SELECT extra, metadata.schema_id FROM tapcart.app_opened WHERE app_id = '{app}'"
    )

    assert json.loads(extra) == {"brand_new": {"a": [1]}}
    assert schema_id == "Event_AppOpened_6_0_0"
    assert loader.process.poll() is None


def test_clickstream_event_has_its_own_table(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """Clickstream events are stored as sent, once per app and event."""
    event = {"event": "app/opened", "data": {"a": 1}, "mp_metadata": {"mp_event_id": "e1"}}
    data = json.dumps(event).encode()
    sender.events(data, data, appid=app, deviceid="d")
    tables.wait(f"SELECT count() FROM tapcart.clickstream WHERE app_id = '{app}'", 1)
    [row] = tables.rows(
        f"SELECT event, event_id, device_id, data FROM tapcart.clickstream WHERE app_id = '{app}'"
    )

    assert row[:3] == ["app/opened", "e1", "d"]
    assert json.loads(row[3]) == {"a": 1}
    assert loader.process.poll() is None


def test_quarantine_is_a_table_with_the_verbatim_body(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """Bodies rejected by ingest are there with their reason, once each, unmarked until replayed."""
    data = encode_quarantine(
        CATALOG,
        received_at_ms=NOW_MS,
        app_id=app,
        event_id="e",
        reason="invalid",
        detail="timestamp is missing",
        pointer="/timestamp",
        source="ingest",
        record=None,
        body=b'{"odd": "\xff\x00"}',
    )
    for _ in range(3):
        sender.put(data, topic=topics.QUARANTINE)
        sender.flush()
    tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{app}'", 1)
    columns = "reason, detail, pointer, source, record, hex(body), replayed_at"
    [row] = tables.rows(f"SELECT {columns} FROM tapcart.quarantine WHERE app_id = '{app}'")
    there = b'{"odd": "\xff\x00"}'.hex().upper()

    assert row == ["invalid", "timestamp is missing", "/timestamp", "ingest", "", there, None]
    marks = "tapcart_raw.quarantine_replays (body_hash, replayed_at)"
    tables.run(f"INSERT INTO {marks} SELECT sipHash128(unhex('{there}')), '2026-01-02 03:04:05'")
    assert tables.one(
        f"SELECT toString(replayed_at) FROM tapcart.quarantine WHERE app_id = '{app}'"
    ).startswith("2026")
    assert loader.process.poll() is None


def test_record_of_another_producer_is_loaded_or_kept(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """Without our checksum: decodable ones are loaded; undecodable or invalid ones are quarantined."""
    good = value(body("AppOpened", app_id=app))
    bad = {
        "cut": good[:-9],
        "longer": good + b"!",
        "no schema": wire.prefix(4_000_000) + good[wire.HEADER_BYTES :],
        "not framed": b"\x01" + good,
        "too early": value(body("AppOpened", app_id=app, timestamp=1)),
        "text": app.encode(),
    }
    for data in (good, *bad.values()):
        sender.put(data, headers=[], key=app.encode())
    sender.put(
        good.replace(b"iOS", b"OSi"), headers=[(record_headers.CRC32, wire.checksum(good))], key=app.encode()
    )
    sender.flush()
    tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", 1)
    tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{app}'", len(bad) + 1)
    grouped = f"FROM tapcart.quarantine WHERE app_id = '{app}' GROUP BY reason ORDER BY reason"
    reasons = tables.rows(f"SELECT reason, count() {grouped}")
    kept = {row[0] for row in tables.rows(f"SELECT hex(body) FROM tapcart.quarantine WHERE app_id = '{app}'")}

    assert reasons == [["damaged", 5], ["invalid", 1], ["unknown_schema", 1]]
    assert kept >= {data.hex().upper() for data in bad.values()}
    where = f"app_id = '{app}' AND match(record, '^tapcart.events/[0-9]+/[0-9]+$') AND source = 'warehouse'"
    assert tables.one(f"SELECT count() FROM tapcart.quarantine WHERE {where}") == len(bad) + 1
    assert loader.process.poll() is None


def test_record_without_value_has_a_place(loader: Loader, sender: Sender, tables: Tables) -> None:
    """A tombstone is in the quarantine with an empty body."""
    sender.put(None, headers=[])
    sender.flush()

    tables.wait("SELECT count() FROM tapcart.quarantine WHERE reason = 'no_value' AND body = ''", 1)
    assert loader.process.poll() is None


def test_damaged_quarantine_record_does_not_travel_in_circles(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """It becomes a row of the quarantine at once, and the topic does not grow."""
    event = value(body("AppOpened", app_id=app))
    sender.put(b"junk " + app.encode(), headers=[], topic=topics.QUARANTINE, key=app.encode())
    sender.put(event, topic=topics.QUARANTINE, key=app.encode())
    sender.flush()
    tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{app}'", 2)
    rows = tables.rows(
        f"SELECT reason, record FROM tapcart.quarantine WHERE app_id = '{app}' ORDER BY reason"
    )
    own = tables.rows(f"SELECT _offset FROM tapcart_raw.quarantine WHERE app_id = '{app}'")

    assert [row[0] for row in rows] == ["damaged", "wrong_topic"]
    assert {int(row[1].rpartition("/")[2]) for row in rows} == {offset for [offset] in own}
    assert loader.process.poll() is None


def test_record_too_large_for_the_quarantine_topic_is_kept(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """Its row is written directly, because with the reason it would exceed Kafka's limit."""
    data = random.Random(app).randbytes((4 << 20) - 1500)  # gzip makes it 1,300 bytes longer
    sender.put(data, headers=[], key=app.encode())
    sender.flush()

    tables.wait(f"SELECT length(body) FROM tapcart.quarantine WHERE app_id = '{app}'", len(data))
    assert tables.rows(f"SELECT _partition, _offset FROM tapcart_raw.quarantine WHERE app_id = '{app}'") == [
        [-1, -1]
    ]
    assert loader.process.poll() is None


@pytest.mark.usefixtures("loader")
def test_a_body_that_lies_harms_no_other_row(sender: Sender, tables: Tables, app: str) -> None:
    """Its checksum is correct, but it is longer or shorter than its schema says: all others are as sent."""
    good = value(body("AppOpened", app_id=app, event_id="good"))
    lying = value(body("AppOpened", app_id=app, event_id="lying"))
    for cut in range(1, 25):
        sender.put(lying[:-cut], key=app.encode())
        sender.put(value(body("AppOpened", app_id=app, event_id=f"good {cut}")), key=app.encode())
        sender.put(lying + bytes(cut), key=app.encode())
    sender.put(good, key=app.encode())
    sender.flush()
    mine = f"FROM tapcart_raw.app_opened WHERE app_id = '{app}'"
    tables.wait(f"SELECT uniqExact(event_id) {mine} AND startsWith(event_id, 'good')", 25)
    sender.events(body("AppOpened", app_id=app, event_id="after the batch"))
    tables.wait(f"SELECT count() {mine} AND event_id = 'after the batch'", 1)
    places = tables.rows(
        f"SELECT DISTINCT _partition, _appended_at = fromUnixTimestamp64Milli({NOW_MS}) {mine}"
    )

    assert len(places) == 1, "one app is one partition"
    assert places[0][1]
    assert tables.one(f"SELECT uniqExact(_offset) = count() AND max(_offset) - min(_offset) < 74 {mine}")


def test_refused_row_is_kept_and_the_rest_is_loaded(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """ClickHouse rejects one of many rows: only that is quarantined, with ClickHouse's code and text."""
    table = "tapcart_raw.order_created"
    tables.run(f"ALTER TABLE {table} ADD CONSTRAINT c_{app[-12:]} CHECK session_id != 'poison {app}'")
    poison = body("OrderCreated", app_id=app, session_id=f"poison {app}")
    events = [body("OrderCreated", app_id=app) for _ in range(200)]
    sender.events(*events[:77], poison, *events[77:])
    tables.wait(f"SELECT count() FROM tapcart.order_created WHERE app_id = '{app}'", len(events))
    tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{app}'", 1)
    tables.run(f"ALTER TABLE {table} DROP CONSTRAINT c_{app[-12:]}")
    [row] = tables.rows(f"SELECT reason, detail, hex(body) FROM tapcart.quarantine WHERE app_id = '{app}'")

    assert row[0] == "refused"
    assert "469" in row[1]
    assert bytes.fromhex(row[2]) == value(poison)
    assert loader.metric("tapline_warehouse_refused_inserts_total") > 1


def test_any_number_of_damaged_records_with_a_right_checksum_stops_nobody(
    loader: Loader, sender: Sender, tables: Tables, app: str
) -> None:
    """A faulty producer spoils only its own rows, and its thousands cost few inserts."""
    good = [value(body("AppInstalled", app_id=app)) for _ in range(20)]
    many = 3 * Settings.model_fields["refused_rows_max"].default
    rejected = loader.metric("tapline_warehouse_refused_inserts_total")
    for number in range(many):
        sender.put(
            value(body("AppInstalled", app_id=app))[: -40 - number % 50], key=app.encode(), partition=3
        )
    for data in good:
        sender.put(data, key=app.encode(), partition=3)
    sender.flush()
    tables.wait(f"SELECT count() FROM tapcart.app_installed WHERE app_id = '{app}'", len(good))
    where = f"reason = 'damaged' AND position(body, '{app}') > 0"
    tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE {where}", many)

    assert loader.process.poll() is None
    assert loader.metric("tapline_warehouse_refused_inserts_total") - rejected < many / 50


def test_freshness_and_lag_come_to_rest(loader: Loader, sender: Sender, tables: Tables, app: str) -> None:
    """Once everything is loaded, no event waits to be queryable, and no record waits in Kafka."""
    sender.events(*(body(name, app_id=app) for name in SAMPLES))
    tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", len(SAMPLES))

    eventually(lambda: loader.metric("tapline_warehouse_freshness_seconds") == 0, 10, "freshness")
    eventually(lambda: loader.metric("tapline_warehouse_lag_records") == 0, 10, "lag")
    assert loader.metric("tapline_warehouse_held_bytes") == 0


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (
            {"CLICKHOUSE_URL": "ftp://x", "WAREHOUSE_BATCH_ROWS_MAX": "0"},
            ["CLICKHOUSE_URL:", "WAREHOUSE_BATCH_ROWS_MAX:"],
        ),
        ({"WAREHOUSE_TTL_DAYS": "soon"}, ["WAREHOUSE_TTL_DAYS:"]),
        ({"KAFKA_NO_SUCH_THING": "1"}, ["KAFKA_*:", "no.such.thing"]),
    ],
)
def test_wrong_settings_are_told_all_at_once(
    services: Stack, tmp_path: Path, env: dict[str, str], said: list[str]
) -> None:
    """Exit status 2, one line per problem."""
    loader = Loader(services.kafka, services.clickhouse_url, tmp_path, env).start(wait=False)

    assert loader.process.wait(30 * patience()) == 2
    assert all(words in loader.log.read_text() for words in said)


def _columns(event: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield every column of an event with its expected value."""
    for name, given in event.items():
        if isinstance(given, dict):
            yield from ((f"{name}.{inner}", _cell(inner, found)) for inner, found in given.items())
        else:
            yield name, _cell(name, given)


def _cell(name: str, given: Any) -> Any:
    if name in ("timestamp", "session_start_time") and given is not None:
        return f"{datetime.fromtimestamp(given / 1000, UTC):%Y-%m-%d %H:%M:%S}.{given % 1000:03}"
    is_text = name not in ("wifi", "logged_in", "push_enabled", "prev_push_enabled", "session_start_time")
    return ("" if is_text else None) if given is None else given


def _number(text: str | None) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None
