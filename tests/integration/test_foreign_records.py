"""Unexpected records of other producers: each reader continues after them."""

import io
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

import fastavro
import pytest

from consumers.kit import events
from consumers.kit.decode import fields_of, plain
from runtime.kafka import topics
from schemas.catalog.catalog import Release
from schemas.catalog.wire import prefix
from schemas.codec.events import encode_quarantine
from tests.support.foreign import put_with_header
from tests.support.live import Live
from tests.support.process import Child
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually, patience
from tests.support.warehouse import CATALOG, NOW_MS, Sender, Tables, body, decoded

LAST = "the-last-one"


def value(release: Release, datum: dict[str, Any]) -> bytes:
    """Return a value as another producer encodes it."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, plain(release.text), datum)
    return prefix(release.wire_id) + stream.getvalue()


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """An app with such records, followed by an event."""
    # With the current time, because the page shows the newest.
    app, sender = f"app-{uuid.uuid4()}", Sender(stack.kafka, time.time_ns() // 1_000_000)
    opened = decoded(body("AppOpened", app_id=app))
    wished = decoded(body("AppOpened", app_id=app, event_type="Wished"))
    unmodelled = fields_of(CATALOG.unmodelled, wished.encode(NOW_MS))
    surrogates = {"extra": '{"\\ud83d": "\\ud83d", "device_id": "\\udc00\\udc00"}'}
    poisons = [
        b"",
        f"junk {app}".encode(),
        value(opened.release, fields_of(opened.release, opened.encode(NOW_MS)) | surrogates),
        value(CATALOG.unmodelled, unmodelled | {"event_type": "AddedToCart", "extra": "[no JSON"}),
        value(CATALOG.unmodelled, unmodelled | {"event_type": "AddedToCart", "extra": '{"app_id.x": 1}'}),
        value(CATALOG.unmodelled, unmodelled | {"event_type": "AddedToCart", "extra": '{"app_id": 7}'}),
        encode_quarantine(
            CATALOG, received_at_ms=NOW_MS, app_id=app, event_id=None, reason="damaged", detail="",
            pointer=None, source="kit", record=None, body=b"\xff",
        ),
    ]  # fmt: skip
    for poison in poisons:
        sender.put(poison, headers=[], key=app.encode())
    sender.flush()
    put_with_header(stack.kafka, topics.EVENTS, b"\xff\xfe", app.encode(), opened.encode(NOW_MS))
    sender.events(body("AppOpened", app_id=app, event_id=LAST))
    return app


def test_the_loader_goes_on(stack: Stack, app: str) -> None:
    """Readable ones become rows, whatever the names of their headers."""
    tables = Tables(stack.clickhouse_url)
    tables.wait(f"SELECT count() FROM tapcart.app_opened WHERE app_id = '{app}' AND event_id = '{LAST}'", 1)

    assert tables.one(f"SELECT count() FROM tapcart.app_opened WHERE app_id = '{app}'") == 2


def test_a_kit_loop_goes_on(stack: Stack, app: str) -> None:
    """Invalid ones are counted and quarantined."""
    stream = events(app, app_id=app, env={"KAFKA_BOOTSTRAP_SERVERS": stack.kafka})
    watchdog = threading.Timer(30, stream.stop)
    watchdog.start()
    ids = []
    for event in stream:
        ids.append(event["event_id"])
        if ids[-1] == LAST:
            stream.stop()
    watchdog.cancel()

    assert len(ids) == 3
    assert ids[-1] == LAST


def test_tail_goes_on(stack: Stack, app: str) -> None:
    """It reports skipped records; a lone surrogate is shown as its escape."""
    command = [sys.executable, "-m", "consumers.tail", "--app", app, "--since", "2020-01-01", "--json"]
    env = stack.env | {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka}
    with Child(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        shown = []
        for line in process.stdout:
            shown.append(json.loads(line)["event_id"])
            if shown[-1] == LAST:
                break
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20 * patience())[1]

    assert len(shown) == 3
    assert said.count("untyped, and not a valid AddedToCart") == 3
    assert "Traceback" not in said


def test_the_live_page_goes_on(stack: Stack, app: str) -> None:
    """It has read all of them; freshness is known and current."""
    live = Live(stack)
    try:
        assert eventually(
            lambda: (
                {one["app_id"] for one in live.snapshot()["newest"]} >= {app}
                and live.snapshot()["freshness"]["age_ms"] == 0
            )
        )
        before = live.snapshot()["freshness"]["as_of_ms"]
        assert eventually(lambda: live.snapshot()["freshness"]["as_of_ms"] > before + 500)
    finally:
        assert live.stop() == 0
