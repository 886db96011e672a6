"""Reconcile on the real topics and tables: it proves, finds and repairs."""

import hashlib
import itertools
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runtime.kafka import topics
from schemas.catalog.table_names import table_name
from schemas.catalog.wire import HEADER_BYTES, prefix
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import (
    CATALOG,
    SAMPLES,
    Loader,
    Sender,
    Tables,
    body,
    catch_up,
    crc,
    make_topics,
    value,
)

pytestmark = pytest.mark.slow


class Site:
    """Services with a loader, the command, and an app of the test."""

    def __init__(self, stack: Stack, loader: Loader) -> None:
        self.sender = Sender(stack.kafka)
        self.tables = Tables(stack.clickhouse_url)
        self.loader = loader
        self.app = f"app-{uuid.uuid4()}"

    def run(self, *arguments: str, **env: str) -> tuple[int, str, str]:
        """Return exit status, output and errors of the command."""
        done = subprocess.run(
            [sys.executable, "-m", "consumers.reconcile", *arguments],
            cwd=ROOT,
            env=os.environ | self.loader.environment() | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, done.stdout, done.stderr

    def report(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return exit status and the report."""
        status, out, err = self.run("--json", *arguments)
        assert status in (0, 1), err
        return status, json.loads(out)

    def send(self, *events: bytes, view: str = "events", count: int | None = None) -> None:
        """Send events and wait until they are in a view."""
        self.sender.events(*events)
        sql = f"SELECT count() FROM tapcart.{view} WHERE app_id = '{self.app}'"
        self.tables.wait(sql, len(events) if count is None else count)

    def delete(self, table: str, where: str) -> None:
        """Delete rows behind the loader's back."""
        sql = f"ALTER TABLE tapcart_raw.{table} DELETE WHERE app_id = '{self.app}' AND {where}"
        self.tables.run(sql, mutations_sync=2)


@pytest.fixture(scope="module")
def loader(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    """A loader of services with nothing missing, whatever tests of other files dropped."""
    make_topics(services.kafka)
    running = Loader(services.kafka, services.clickhouse_url, tmp_path_factory.mktemp("reconcile")).start()
    catch_up(services.kafka)
    status, _, err = Site(services, running).run("--repair")
    assert status == 0, err
    yield running
    assert running.stop() == 0


@pytest.fixture
def site(services: Stack, loader: Loader) -> Site:
    """Services with nothing missing, because every test leaves none."""
    if loader.process.poll() is not None:
        loader.start()
    catch_up(services.kafka)
    return Site(services, loader)


def test_nothing_missing_is_proven(site: Site) -> None:
    """Exit status 0; every offset is in one of the counts, and every type has equal counts everywhere."""
    site.send(*(body(name, app_id=site.app) for name in ("AppOpened", "CartViewed", "OrderCreated")))
    status, report = site.report()
    totals = report["totals"]
    places = ("rows", "merged", "quarantined", "expired", "empty", "missing")

    assert (status, report["missing"], totals["lag"]) == (0, [], 0)
    assert totals["offsets"] == sum(totals[place] for place in places) > 0
    assert all(partition["high"] >= partition["low"] for partition in report["partitions"])
    assert {name: types["kafka"] >= types["view"] for name, types in report["event_types"].items()}


def test_deleted_rows_are_listed_and_repaired(site: Site) -> None:
    """Exactly the offsets without a row are missing; after `--repair` every event is back, once."""
    site.send(*(body("AppOpened", app_id=site.app, event_id=f"e{n}") for n in range(30)))
    places = site.tables.rows(
        "SELECT DISTINCT _partition, _offset FROM tapcart_raw.app_opened "
        f"WHERE app_id = '{site.app}' AND event_id IN ('e3', 'e4', 'e9')"
    )
    site.delete("app_opened", "event_id IN ('e3', 'e4', 'e9')")
    status, report = site.report("--wait", "0")
    missing = [(r["partition"], o) for r in report["missing"] for o in range(r["start"], r["end"])]
    _, text, _ = site.run("--wait", "0")
    repaired, _, said = site.run("--repair")
    again, after = site.report()

    assert (status, report["totals"]["missing"]) == (1, 3)
    assert sorted(missing) == sorted((partition, offset) for partition, offset in places)
    assert text.count("missing: tapcart.events/") == len(report["missing"])
    assert (repaired, again, after["totals"]["missing"]) == (0, 0, 0)
    assert "loaded 3 missing records" in said
    site.tables.wait(f"SELECT count() FROM tapcart.app_opened WHERE app_id = '{site.app}'", 30)


def test_repair_inserts_many_days_together(site: Site) -> None:
    """Its batches are larger than the loader's, because an insert makes a part of each day."""
    days = 40
    first_ms = json.loads(SAMPLES["AppOpened"])["timestamp"]
    site.send(*(body("AppOpened", app_id=site.app, timestamp=first_ms - n * 86_400_000) for n in range(days)))
    site.delete("app_opened", "1")
    _, _, said = site.run("--repair", WAREHOUSE_BATCH_ROWS_MAX=f"{days // 2}")

    assert f"loaded {days} missing records" in said
    inserts = (
        "SELECT uniqExact(toDate(timestamp)), uniqExact(_loaded_at)"
        f" FROM tapcart_raw.app_opened WHERE app_id = '{site.app}'"
    )
    assert site.tables.rows(inserts) == [[days, 1]]


def test_repair_moves_no_committed_offset(site: Site) -> None:
    """It reads by offset, outside of the group."""
    site.send(body("AppOpened", app_id=site.app))
    site.delete("app_opened", "1")
    before = site.report("--wait", "0")[1]["partitions"]
    site.run("--repair")
    after = site.report()[1]["partitions"]

    assert [p["lag"] for p in before] == [p["lag"] for p in after] == [0] * len(after)


def test_merged_duplicates_are_not_missing(site: Site) -> None:
    """Merges remove duplicates' rows, but their identity still has one."""
    data = value(body("CartViewed", app_id=site.app))
    for _ in range(20):
        site.sender.put(data, key=site.app.encode())
        site.sender.flush()
    site.send(body("CartViewed", app_id=site.app), count=2)
    site.tables.run("OPTIMIZE TABLE tapcart_raw.cart_viewed FINAL")
    status, report = site.report()

    assert status == 0
    assert report["totals"]["merged"] >= 19


def test_row_deleted_with_its_duplicates_is_missing(site: Site) -> None:
    """If no row of an identity is left, all its records are missing; one repair loads all of them."""
    data = value(body("CartViewed", app_id=site.app))
    for _ in range(5):
        site.sender.put(data, key=site.app.encode())
    site.sender.flush()
    site.tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{site.app}'", 1)
    eventually(lambda: site.loader.metric("tapline_warehouse_freshness_seconds") == 0, 20, "freshness")
    site.delete("cart_viewed", "1")
    status, report = site.report("--wait", "2")
    repaired = site.run("--repair")[0]

    assert (status, report["totals"]["missing"]) == (1, 5)
    assert repaired == 0
    assert site.tables.one(f"SELECT count() FROM tapcart.events WHERE app_id = '{site.app}'") == 1


def test_same_id_elsewhere_does_not_hide_a_missing_event(site: Site) -> None:
    """An identity is app, hour, device and id within its type: the same id elsewhere proves nothing."""
    event = json.loads(body("AppOpened", app_id=site.app, event_id="same"))
    others = [event | {"device_id": "other"}, event | {"timestamp": event["timestamp"] + 86_400_000}]
    site.send(*(json.dumps(one).encode() for one in (event, *others)))
    site.delete(
        "app_opened",
        f"device_id != 'other' AND timestamp < fromUnixTimestamp64Milli({event['timestamp'] + 1})",
    )
    status, report = site.report("--wait", "0")

    assert (status, report["totals"]["missing"]) == (1, 1)
    assert site.run("--repair")[0] == 0


def test_another_logs_rows_account_for_nothing(site: Site) -> None:
    """A row at the same partition and offset is another record's, and stays."""
    site.send(body("AppOpened", app_id=site.app, event_id="mine"))
    columns = "app_id, device_id, event_id, event_type, timestamp, received_at, _partition, _offset"
    source = f"FROM tapcart_raw.app_opened WHERE app_id = '{site.app}'"
    other = columns.replace("event_id", "'other'", 1)
    site.tables.run(f"INSERT INTO tapcart_raw.app_opened ({columns}, _log) SELECT {other}, 1 {source}")
    before = site.report()[0]
    site.delete("app_opened", "event_id = 'mine'")
    status, report = site.report("--wait", "0")
    repaired = site.run("--repair")[0]
    found = site.tables.rows(f"SELECT event_id, _log = 1 {source} ORDER BY event_id")

    assert (before, status, report["totals"]["missing"], repaired) == (0, 1, 1, 0)
    assert found == [["mine", 0], ["other", 1]]


def test_rows_from_before_their_log_was_kept_are_of_the_log_in_use(site: Site) -> None:
    """A table of an earlier version gets the column; its rows account for their records as before."""
    site.send(*(body("CartViewed", app_id=site.app) for _ in range(3)))
    assert site.loader.stop() == 0
    site.tables.run("ALTER TABLE tapcart_raw.cart_viewed DROP COLUMN _log")
    site.loader.start()
    site.send(body("AppOpened", app_id=site.app), count=4)
    status, report = site.report()
    kept = site.tables.rows(
        f"SELECT _log, count() FROM tapcart_raw.cart_viewed WHERE app_id = '{site.app}' GROUP BY _log"
    )
    log = site.tables.one(f"SELECT any(_log) FROM tapcart_raw.app_opened WHERE app_id = '{site.app}'")

    assert (status, report["totals"]["missing"]) == (0, 0)
    assert kept == [[log, 3]]


def test_damaged_record_is_accounted_for_by_its_body(site: Site) -> None:
    """It has only a row in the quarantine; without that it is missing, and repaired."""
    # A digest that ends with 0 must not lose its last byte on the way.
    junks = (f"junk {site.app} {number}".encode() for number in itertools.count())
    junk = next(junk for junk in junks if not hashlib.sha256(junk).digest()[-1])
    site.sender.put(junk, headers=[], key=site.app.encode())
    site.sender.flush()
    where = f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{site.app}'"
    site.tables.wait(where, 1)
    status, report = site.report()
    site.delete("quarantine", "1")
    without, lacking = site.report("--wait", "0")
    repaired = site.run("--repair")[0]

    assert status == 0
    assert report["totals"]["quarantined"] >= 1
    # The record itself, and the quarantine's record of it.
    assert (without, lacking["totals"]["missing"]) == (1, 2)
    assert repaired == 0
    assert site.tables.one(where) == 1


def test_refused_record_is_accounted_for_however_it_was_encoded(site: Site) -> None:
    """The quarantine has the producer's bytes, although another encoder writes the event differently."""
    event = value(body("AppOpened", app_id=site.app))
    length = HEADER_BYTES  # the first text's length is a varint: here with one byte more than needed
    other = event[:length] + bytes((event[length] | 0x80, 0)) + event[length + 1 :]
    site.tables.run(f"ALTER TABLE tapcart_raw.app_opened ADD CONSTRAINT r CHECK app_id != '{site.app}'")
    site.sender.put(other, key=site.app.encode())
    site.sender.flush()
    site.tables.wait(
        f"SELECT hex(body) FROM tapcart.quarantine WHERE app_id = '{site.app}'", other.hex().upper()
    )
    status, report = site.report()
    site.tables.run("ALTER TABLE tapcart_raw.app_opened DROP CONSTRAINT r")

    assert status == 0, report


@pytest.mark.parametrize("topic", [topics.EVENTS, topics.QUARANTINE])
@pytest.mark.parametrize("extra", [(), (("schema_registry", b"\xbc\x97(\x9cX"),)], ids=["plain", "header"])
def test_record_that_only_clickhouse_decodes_in_vain_is_accounted_for(
    site: Site, topic: str, extra: tuple[tuple[str, bytes], ...]
) -> None:
    """Its checksum is correct; the quarantine has it once, verbatim, also if a header names no schema."""
    release = CATALOG.quarantine if topic == topics.QUARANTINE else CATALOG.newest("AppOpened")
    assert release
    event = prefix(release.wire_id) + b"\x31" + site.app.encode()  # a text of -25 bytes
    headers = [*extra, *crc(event)]
    for _ in range(2):
        site.sender.put(event, headers=headers, topic=topic, key=site.app.encode())
    site.sender.flush()
    site.tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE body = unhex('{event.hex()}')", 1)
    status, report = site.report()

    assert status == 0, report


def test_records_not_yet_loaded_are_waited_for_then_missing(site: Site) -> None:
    """While a loader works they are lag; if none comes in time, they are missing."""
    assert site.loader.stop() == 0
    site.sender.events(*(body("AppOpened", app_id=site.app) for _ in range(4)))
    status, report = site.report("--wait", "0.5")
    site.loader.start(wait=False)
    later, after = site.report("--wait", "60")

    assert (status, report["totals"]["missing"], report["totals"]["lag"]) == (1, 4, 4)
    assert (later, after["totals"]["missing"], after["totals"]["lag"]) == (0, 0, 0)


def test_rows_of_the_quarantine_topic_do_not_pass_for_events(site: Site) -> None:
    """Both topics have a partition 0 and small offsets; a row of one never accounts for the other."""
    site.send(body("AppOpened", app_id=site.app))
    for number in range(5):
        site.sender.put(f"junk {number} {site.app}".encode(), headers=[], key=site.app.encode(), partition=0)
    site.sender.flush()
    site.tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{site.app}'", 5)
    _, report = site.report()
    rows = {(p["topic"], p["partition"]): p["rows"] for p in report["partitions"]}
    names = "|".join(table_name(r.name) for r in CATALOG.releases if r.name != CATALOG.quarantine.name)

    assert rows["tapcart.quarantine", 0] == site.tables.one(
        "SELECT uniqExact(_offset) FROM tapcart_raw.quarantine WHERE _partition = 0"
    )
    assert rows["tapcart.events", 0] == site.tables.one(
        f"SELECT uniqExact(_offset) FROM merge('tapcart_raw', '^({names})$') WHERE _partition = 0"
    )


def test_what_cannot_be_found_out_is_no_proof(site: Site) -> None:
    """Without Kafka or ClickHouse, or with a wrong setting, the exit status is neither 0 nor 1."""
    nowhere = "127.0.0.1:1"
    wrong = (
        {"KAFKA_BOOTSTRAP_SERVERS": nowhere},
        {"CLICKHOUSE_URL": f"http://{nowhere}"},
        {"CLICKHOUSE_URL": "nowhere"},
        {"KAFKA_NO_SUCH_THING": "1"},
    )
    with ThreadPoolExecutor() as threads:  # the first two wait for 20 s
        runs = [*threads.map(lambda env: site.run(**env), wrong)]

    assert [done[0] for done in runs] == [2, 2, 2, 2]
    assert all("could not reconcile" in done[2] for done in runs)
