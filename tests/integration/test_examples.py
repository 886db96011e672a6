"""The examples on a real broker: killed, restarted, with failing receivers and duplicate events."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from runtime.kafka import topic_contract, topics
from tests.support.live import hanging
from tests.support.process import Child, Ingest, free_port
from tests.support.stack import ROOT, Stack
from tests.support.topic import end_offsets, messages_since
from tests.support.waiting import eventually, patience
from tests.support.warehouse import Sender, body, crc, decoded
from tests.support.web import WEB

pytestmark = pytest.mark.slow

_CART_SECONDS = 6
PROGRAM = """
import consumers.kit.stream, datetime, os, signal
from functools import partial
from pathlib import Path
import consumers.examples.{module} as example
since = datetime.timedelta(minutes=5)
example.events = partial(consumers.kit.stream.events, since=since, env={env})
{before}
example.main({arguments}, group="{group}")
"""


class Site:
    """A broker, and the test's own group."""

    def __init__(self, kafka: str) -> None:
        self.kafka, self.group, self.app = kafka, f"group-{uuid.uuid4()}", f"app-{uuid.uuid4()}"
        self.port, self.ingest = free_port(), "none"
        Sender(kafka)
        self._producer = Producer({"bootstrap.servers": kafka, "partitioner": topics.PARTITIONER})

    def send(self, name: str, device: str, timestamp: int, app: str = "") -> None:
        """Send an event with the current receive time."""
        app, now_ms = app or self.app, round(time.time() * 1000)
        moment = 1_795_000_000_000 + timestamp
        event = decoded(body(name, app_id=app, device_id=device, timestamp=moment))
        data = event.encode(now_ms)
        headers: list[tuple[str, str | bytes | None]] = [("event_type", name), *crc(data)]
        self._producer.produce(topics.EVENTS, data, app.encode(), headers=headers, timestamp=now_ms)
        assert self._producer.flush(10) == 0

    def event(self, name: str, device: str, timestamp: int) -> bytes:
        """Return an event's body."""
        return body(name, app_id=self.app, device_id=device, timestamp=1_795_000_000_000 + timestamp)

    def wait_until_read(self) -> None:
        """Wait until the running example has read everything."""

        def has_read() -> bool:
            try:
                text = WEB.get(f"http://127.0.0.1:{self.port}/metrics").text
            except httpx.HTTPError:
                return False
            lags = re.findall(r"^tapline_kit_lag_records{.*} (.*)$", text, re.MULTILINE)
            return len(lags) == topic_contract.PARTITIONS[topics.EVENTS] and not any(map(float, lags))

        eventually(has_read, 30, "the end of the topic")

    @contextmanager
    def running(self, module: str, arguments: str, before: str = "") -> "Iterator[Child[str]]":
        """Run an example, and kill it at the end if it still runs."""
        env = {"KAFKA_BOOTSTRAP_SERVERS": self.kafka, "KAFKA_GROUP_INSTANCE_ID": "one"}
        env["INGEST_ADMIN_URL"] = self.ingest
        env["KIT_METRICS_PORT"] = str(self.port)
        text = PROGRAM.format(module=module, env=env, before=before, arguments=arguments, group=self.group)
        with Child(
            [sys.executable, "-c", text], cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def site(services: Stack) -> Site:
    """A broker, and the test's own group."""
    return Site(services.kafka)


class Receiver:
    """A web server that answers the first requests with errors."""

    def __init__(self, app: str, failures: int) -> None:
        self.asked: list[tuple[str, int]] = []  # device, status
        outer, left = self, [failures]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                cart = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                left[0] -= cart["app_id"] == app
                status = 503 if left[0] >= 0 and cart["app_id"] == app else 200
                if cart["app_id"] == app:
                    outer.asked.append((cart["device_id"], status))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self) -> list[str]:
        """Return the devices whose call was answered 200."""
        return [device for device, status in self.asked if status == 200]


@pytest.fixture
def receiver(site: Site) -> Iterator[Receiver]:
    """A receiver that fails three times."""
    receiver = Receiver(site.app, 3)
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_an_abandoned_cart_is_called_out_in_spite_of_kills_and_errors(site: Site, receiver: Receiver) -> None:
    """Ordered, emptied, late and duplicate ones are not; the pending one survives two kills."""
    site.send("CartUpdated", "pending", 10)
    site.send("CartUpdated", "ordered", 10)
    site.send("OrderCreated", "ordered", 20)
    site.send("CartUpdated", "ordered", 5)  # late
    site.send("CartUpdated", "ordered", 20)
    with site.running("abandoned_carts", f"{receiver.url!r}, 60"):
        site.wait_until_read()
    assert receiver.asked == []
    # Dies in the call, with the receiver's answer on its way.
    dies = "example.httpx.post = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)"
    with site.running("abandoned_carts", f"{receiver.url!r}, 0.01", dies) as process:
        assert process.wait(30 * patience()) == -9
    with site.running("abandoned_carts", f"{receiver.url!r}, 0.01"):
        eventually(lambda: receiver.told() != [], 40, "a call-out")
        site.send("CartUpdated", "pending", 10)  # duplicate
        site.send("CartUpdated", "last", 10)
        eventually(lambda: "last" in receiver.told(), 40, "another call-out")

    assert receiver.told() == ["pending", "last"]
    assert [status for _, status in receiver.asked[:4]] == [503, 503, 503, 200]


def test_a_cart_whose_order_waits_in_a_spool_is_not_abandoned(
    site: Site, receiver: Receiver, services: Stack, tmp_path: Path
) -> None:
    """Kafka hangs beyond the cart's time: no time passes until events received meanwhile have arrived."""
    ingest = Ingest(site.kafka, tmp_path).start()
    site.ingest = f"http://127.0.0.1:{ingest.admin_port}"
    eventually(ingest.direct, what="ingest's way to Kafka")
    with site.running("abandoned_carts", f"{receiver.url!r}, {_CART_SECONDS / 60}"):
        for device in ("ordered", "left"):
            assert ingest.post(site.event("CartUpdated", device, 10)).json()["kept"] == "kafka"
        due = time.time() + _CART_SECONDS
        site.wait_until_read()
        with hanging(services, "kafka"):
            assert ingest.post(site.event("OrderCreated", "ordered", 20)).json()["kept"] == "spool"
            eventually(lambda: time.time() > due + 3, 30, "the carts' time")
            assert receiver.asked == []
        eventually(lambda: receiver.told() != [], 60, "a call-out")
    ingest.stop()

    assert receiver.told() == ["left"]


def test_each_of_several_ingest_processes_has_to_be_heard(
    site: Site, receiver: Receiver, tmp_path: Path
) -> None:
    """One cannot reach Kafka, dies, and returns: until then nothing is abandoned, although Kafka works."""
    folders = [tmp_path / name for name in ("well", "cut-off")]
    for folder in folders:
        folder.mkdir()
    well = Ingest(site.kafka, folders[0]).start()
    cut_off = Ingest(f"127.0.0.1:{free_port()}", folders[1]).start()
    site.ingest = f"http://127.0.0.1:{well.admin_port}, http://127.0.0.1:{cut_off.admin_port}"
    eventually(well.direct, what="ingest's way to Kafka")
    with site.running("abandoned_carts", f"{receiver.url!r}, {_CART_SECONDS / 60}"):
        for device in ("ordered", "left"):
            assert well.post(site.event("CartUpdated", device, 10)).json()["kept"] == "kafka"
        assert cut_off.post(site.event("OrderCreated", "ordered", 20)).json()["kept"] == "spool"
        due = time.time() + _CART_SECONDS
        eventually(lambda: time.time() > due + 3, 30, "the carts' time")
        assert receiver.asked == []
        cut_off.kill()
        due = time.time() + 3
        eventually(lambda: time.time() > due, what="a while without one process")
        assert receiver.asked == []
        back = Ingest(site.kafka, folders[1], port=cut_off.port, admin_port=cut_off.admin_port).start()
        eventually(lambda: receiver.told() != [], 60, "a call-out")
    for process in (well, back):
        process.stop()

    assert receiver.told() == ["left"]


def test_parquet_files_have_every_row_once(site: Site, tmp_path: Path) -> None:
    """Killed before a file is linked, between two files, and before the commit."""
    since = end_offsets(site.kafka, topics.EVENTS)
    apps = [f"{site.app}-{number}/." for number in range(3)]
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    deaths = (
        f"example.os.link = lambda *a: {kill}",
        f"link = os.link; example.os.link = lambda *a: [link(*a), {kill}]",
        "import consumers.kit.offset_tracker as p; p.Hold.release = lambda self: " + kill,
    )
    for round_, death in enumerate((*deaths, "")):
        for app in apps:
            for number in range(4):
                site.send("AppOpened", f"{round_}-{number}", number, app)
        with site.running("parquet", f"Path({str(tmp_path)!r}), 0.5", death) as process:
            if death:
                assert process.wait(30 * patience()) == -9
            else:
                eventually(lambda: len(_rows(tmp_path, site.app)) >= 48, 40, "every row")
    sent = [
        (one.partition(), one.offset())
        for one in messages_since(site.kafka, topics.EVENTS, since)
        if str(one.key()).startswith(f"b'{site.app}")
    ]

    assert len(sent) == 48
    assert sorted(_rows(tmp_path, site.app)) == sorted(sent)


def _rows(folder: Path, app: str) -> list[tuple[int, int]]:
    return [
        (int(path.name.split("-")[1]), offset)
        for path in folder.glob(f"app={app}*/date=*/*.parquet")
        for offset in pq.read_table(path, columns=["_offset"])["_offset"].to_pylist()
    ]


def test_alerts_tell_a_spike_and_a_silence_also_after_a_restart(site: Site) -> None:
    """Events seen before the kill count."""
    for device in ("a", "b"):
        site.send("PushNotificationDisabled", device, 1)
    with site.running("alerts", "3, 1000"):
        site.wait_until_read()
    site.send("PushNotificationDisabled", "c", 1)
    with site.running("alerts", "3, 0.05") as process:
        assert process.stdout
        told = set()
        for line in process.stdout:
            found = json.loads(line)
            if found["app_id"] == site.app:
                told.add((found["alert"], found["count"]))
            if len(told) == 2:
                break

    assert told == {("uninstalls", 3), ("silent", 0)}
