"""A stack's ClickHouse moves to a server, then its Kafka to a cluster: the runbook's words, with kills.

The server is a second embedded engine with a folder, a port and a password of its own, because no ClickHouse
server can be had here. The cluster is three real brokers.
"""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client

from consumers.kit.erasures.erased_ids import IdHashes
from consumers.kit.erasures.key_file import key_of
from consumers.warehouse.privacy import tombstone_writer
from consumers.warehouse.tables import Options, tables
from deploy.local.errors import StackError
from deploy.move_out import mover, sides, statements
from deploy.move_out.mover import DayState, Mover
from deploy.move_out.sides import EmbeddedServer, OutsideServer
from tests.faults.harness.cluster import BROKERS, Cluster
from tests.support import kills
from tests.support.moving import Moving, blocks, replicas, size_of
from tests.support.process import Child
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import CATALOG, lag
from tests.support.web import WEB

pytestmark = pytest.mark.slow

_PASSWORD = "of-the-outside-server"  # noqa: S105 - of this test
_KINDS = ("AppOpened", "ProductViewed", "CheckoutCreated")
_DAYS = 3
_ERASED = "device-of-somebody-erased"


_DEADLY = {(mover.__name__, "_move"), (sides.__name__, "insert"), (sides.__name__, "drop_visits")}


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moving]:
    """A running stack with events of several days, and an empty server."""
    folder = tmp_path_factory.mktemp("move")
    outside = Stack(folder / "outside", "clickhouse", {"CLICKHOUSE_PASSWORD": _PASSWORD})
    stack = Stack(folder / "data", "kafka,clickhouse,warehouse,ingest")
    with ThreadPoolExecutor() as starting:
        list(starting.map(Stack.start, (outside, stack)))
    url = folder / "outside.url"
    url.touch(0o600)
    url.write_text(outside.clickhouse_url.replace("//", f"//default:{_PASSWORD}@") + "\n")
    found = Moving(stack, outside, url)
    for days_ago in range(_DAYS):
        for kind in _KINDS:
            for _ in range(5):
                found.post(kind, days_ago)
    WEB.post(stack.ingest_url, content=b'{"event_id": "rejected"')
    eventually(lambda: lag(stack.kafka) == 0, what="all is loaded")
    yield found
    if stack.process and stack.process.poll() is None:
        stack.stop()
    outside.stop()


@pytest.fixture(scope="module")
def moved(moving: Moving) -> dict[str, str]:
    """What the runbook's commands said, with kills and late rows; the stack then uses the server."""
    (first,), (only, last), (after, reconcile) = blocks("Move ClickHouse to a server")
    said = {}
    moving.here().command(
        "INSERT INTO tapcart_raw.app_opened (app_id, device_id, event_id, timestamp)"
        " VALUES ('moved', 'a device', 'gone', now() - INTERVAL 2 DAY)"
    )
    _killed_after(moving, 6)
    said["first"] = moving.run(first)
    size = "SELECT min(data_uncompressed_bytes) FROM system.parts WHERE active AND table = 'app_opened'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "_SLICE_BYTES", moving.here().query(size).result_rows[0][0])
        _kill_at_every_line(moving)
    late = [moving.post(days_ago=1), moving.post()]
    eventually(lambda: lag(moving.stack.kafka) == 0, what="late rows are loaded")
    _delete(moving.here(), "event_id = 'gone'")
    moving.stack.stop()
    moving.start(only, "")
    waiting = moving.post()
    said["last"] = moving.run(last)
    said["waiting"] = f"{waiting in moving.stored()} {set(late) <= set(moving.stored())}"
    said["foreign"], said["in use"] = _refusals(moving)
    moving.stack.stop()
    moving.start(after, "kafka,warehouse,ingest", CLICKHOUSE_URL_FILE=str(moving.url_file))
    moving.post()
    said["reconcile"] = moving.run(reconcile)
    return said


def _refusals(moving: Moving) -> tuple[str, str]:
    """Return what is said of a server with another stack's rows, and of one that has loaded a row itself."""
    there = moving.there()
    source, target = _sides(moving)
    with pytest.raises(StackError) as foreign:
        target.claim("another database")
    there.command(
        "INSERT INTO tapcart_raw.app_opened (app_id, event_id, timestamp) VALUES ('new', 'new', now())"
    )
    with pytest.raises(StackError) as in_use:
        Mover(source, target, tables(CATALOG)).check()
    _delete(there, "app_id = 'new'")
    return str(foreign.value), str(in_use.value)


def _delete(client: Client, condition: str) -> None:
    client.command(
        f"ALTER TABLE tapcart_raw.app_opened DELETE WHERE {condition}", settings={"mutations_sync": 2}
    )


def _sides(moving: Moving) -> tuple[EmbeddedServer, OutsideServer]:
    now = datetime.now(UTC)
    return EmbeddedServer(moving.own_url, Options(), now), OutsideServer(
        moving.url, Options(), now, tables(CATALOG)
    )


def _killed_after(moving: Moving, lines: int) -> None:
    """Start the command, and kill it after its first lines."""
    env = moving.stack.env | {"CLICKHOUSE_URL_FILE": str(moving.url_file)}
    command = [sys.executable, "-m", "deploy.move_out"]
    with Child(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(lines):
            assert "rows" in child.stdout.readline()
        child.send_signal(signal.SIGKILL)


def _kill_at_every_line(moving: Moving) -> None:
    """Copy days that lack rows, or have too many, and die at each line in turn; the next run ends it."""
    (table,) = (one for one in tables(CATALOG) if one.name == "app_opened")
    there = moving.there()
    source, target = _sides(moving)
    days = [day.partition for day in source.days(table)]
    assert min(day.slices for day in source.days(table)) > 1
    line, states = 0, []
    while True:
        there.command(f"ALTER TABLE tapcart_raw.app_opened DROP PARTITION ID '{days[0]}'")
        there.command(
            "INSERT INTO tapcart_raw.app_opened (app_id, event_id, timestamp)"
            " SELECT 'extra', 'extra', min(timestamp) FROM tapcart_raw.app_opened"
            f" WHERE _partition_id = '{days[1]}'"
        )
        died = kills.killed(lambda: list(Mover(source, target, [table]).move()), _DEADLY, line)
        states += [moved.state for moved in Mover(source, target, [table]).move()]
        ((rows, ids),) = there.query(
            "SELECT count(), uniqExact(event_id) FROM tapcart_raw.app_opened"
        ).result_rows
        assert rows == ids == 5 * _DAYS + 1
        if not died:
            break
        line += 1
    assert line > 12
    assert {*states} == {DayState.EQUAL, DayState.COPIED}


@pytest.fixture(scope="module")
def clustered(
    moving: Moving, moved: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What the commands of the move to a cluster said; the old Kafka and the cluster are stopped."""
    assert moved
    stack, said = moving.stack, {}
    (carry,), (aside, new), (old, of_old), (of_new,) = blocks("Move Kafka to a cluster")
    key = key_of(None, stack.data_dir)
    assert key
    hashes, folder = IdHashes(key), tmp_path_factory.mktemp("cluster")
    tombstone_writer.ensure_topic({"bootstrap.servers": stack.kafka})
    erased = hashes.tombstone("device_id", _ERASED, time.time_ns() // 1_000_000, "")
    tombstone_writer.write({"bootstrap.servers": stack.kafka}, [erased], hashes.key_id)
    eventually(lambda: lag(stack.kafka) == 0, what="all is loaded")
    brokers = Cluster(folder / "brokers", BROKERS)
    brokers.start()
    try:
        said["carried"] = moving.run(of(brokers, carry, stack))
        stack.kill("warehouse", signal.SIGSTOP)  # what it has not loaded stays in the old broker
        for _ in range(20):
            moving.post()
        said["behind"] = str(lag(stack.kafka))
        stack.kill("kafka")
        for _ in range(5):
            moving.post()
        said["spooled"] = str(size_of(stack.data_dir / "spool"))
        stack.stop(signal.SIGKILL)
        moving.run(aside.replace("data/", f"{stack.data_dir}/").replace("old", str(folder / "old")))
        moving.start(new, "warehouse,ingest", KAFKA_BOOTSTRAP_SERVERS=brokers.servers)
        for _ in range(5):
            moving.post()
        moving.post(days_ago=1, device_id=_ERASED)
        moving.posted.popitem()
        assert old.startswith(
            "CLICKHOUSE_URL=http://127.0.0.1:8123 ERASURE_KEY_FILE=data/erasure.key DATA_DIR=old "
        )
        settings = {
            "CLICKHOUSE_URL_FILE": str(moving.url_file),
            "ERASURE_KEY_FILE": str(stack.data_dir / "erasure.key"),
        }
        before = Stack(folder / "old", old.partition("--only ")[2].rstrip('"'), settings).start()
        said["of old"] = moving.run(of(brokers, of_old, before))
        before.stop()
        said["of new"] = moving.run(of(brokers, of_new, stack))
        said["replicas"] = str(replicas(brokers.servers))
    finally:
        stack.stop()
        brokers.stop()
    return said


def of(brokers: Cluster, command: str, stack: Stack) -> str:
    """Return a command of the runbook with the addresses of the test."""
    command = command.replace("broker1:9092,broker2:9092,broker3:9092", brokers.servers)
    return command.replace("127.0.0.1:9092", f"127.0.0.1:{stack.env['KAFKA_PORT']}")


def test_every_event_is_at_the_server_once(moving: Moving, moved: dict[str, str]) -> None:
    """Late ones too, and those that waited in Kafka; not what was deleted. Views and visits are there."""
    there = moving.there()
    eventually(lambda: moving.stored() == sorted(moving.posted), what="the loader has loaded what waited")
    visits = "SELECT uniqExactArray(events) FROM tapcart_raw.visits"
    trail = "SELECT count() FROM tapcart.audit_trail WHERE action = 'move-out' AND state = 'done'"

    assert "nothing is missing" in moved["reconcile"]
    assert there.query("SELECT count() FROM tapcart.quarantine").result_rows == [(1,)]
    eventually(lambda: there.query(visits).result_rows == [(len(moving.posted),)], what="visits")
    eventually(lambda: there.query(trail).result_rows[0][0] == 2, what="the audit trail")


def test_only_days_that_changed_are_copied_again(moved: dict[str, str]) -> None:
    """The last run copies what changed since the first one, and says that it is the end."""
    copied = re.findall(r"^(\w+) .*copied, equal$", moved["last"], re.MULTILINE)

    assert "Not the end, because the loader runs" in moved["first"]
    assert [table for table in copied if table != "audit_trail"] == ["app_opened"] * 3
    assert "No loader runs: start the stack with CLICKHOUSE_URL" in moved["last"]
    assert moved["waiting"] == "False True"


def test_a_server_with_other_rows_is_refused(moved: dict[str, str]) -> None:
    """One that loads rows of its own, or whose tables are no copy."""
    assert "it is in use already. Nothing was changed." in moved["in use"]
    assert "has tables in tapcart_raw that are no copy of this stack's" in moved["foreign"]


def test_a_cluster_takes_over(moving: Moving, clustered: dict[str, str]) -> None:
    """What the old broker held and the spool kept is there once; tombstones hold; both logs are whole."""
    logs = moving.there().query("SELECT uniqExact(_log), min(_log) FROM tapcart_raw.app_opened").result_rows

    assert clustered["carried"] == "1 tombstones are copied\n"
    assert int(clustered["behind"]) >= 20
    assert int(clustered["spooled"]) > 0
    assert "nothing is missing" in clustered["of old"]
    assert "nothing is missing" in clustered["of new"]
    assert moving.stored() == sorted(moving.posted)
    assert [(count, first > 0) for count, first in logs] == [(2, True)]
    assert clustered["replicas"] == "{3}"
