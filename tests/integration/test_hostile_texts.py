"""Every command on events full of hostile texts: no received text is shown raw or in full."""

import json
import os
import pty
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.hostile import HOSTILE, is_harmless
from tests.support.process import SAMPLES, Child
from tests.support.quarantine import quarantine
from tests.support.stack import ROOT, Stack
from tests.support.warehouse import Tables
from tests.support.web import WEB

# A name only has characters that JSON text may hold raw: JSON escapes C0 controls anyway.
NAME = HOSTILE.translate(dict.fromkeys(range(32)))
LONG = HOSTILE + "L" * 900
LINE_CHARS_MAX = 3_000


def event(name: str, **changes: Any) -> dict[str, Any]:
    """Return a sample with an id of its own."""
    sent: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    sent |= {"event_id": f"{HOSTILE}{uuid.uuid4()}", "timestamp": 1_790_000_000_000, "device_id": HOSTILE}
    properties = changes.pop("event_properties", {})
    return sent | changes | {"event_properties": sent["event_properties"] | properties}


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """A hostile app: events of known and unknown types, and quarantined bodies."""
    name = f"{LONG}{uuid.uuid4()}"
    sent = [
        event("AppOpened", app_id=name, session_properties={"source": HOSTILE, "utm_source": HOSTILE}),
        event("AppOpened", app_id=name, event_properties={NAME: HOSTILE, "kind": HOSTILE}),
        event("ProductViewed", app_id=name, event_properties={"product_title": HOSTILE}),
        event("PushNotificationReceived", app_id=name, event_properties={"notification_title": HOSTILE}),
        event("OrderCreated", app_id=name, event_properties={"currency_code": LONG}),
        event("AppOpened", app_id=name, event_type=LONG),
        event("AppOpened", app_id=name, event_type="\\" * 1_000),  # too long for a URL, escaped twice
        event("AppOpened", app_id=name, event_type="Hostile", event_properties={NAME: [HOSTILE]}),
    ]
    for one in sent:
        assert WEB.post(stack.ingest_url, json=one).status_code == 200
    for source in (HOSTILE, "ingest"):
        quarantine(stack, f'{{"{uuid.uuid4()}": "{NAME}"}}'.encode(), app_id=name, source=source, reason=LONG,
                   detail=LONG, pointer=LONG, record=f"{HOSTILE}/0/0")  # fmt: skip
    tables = Tables(stack.clickhouse_url)
    tables.wait(f"SELECT count() FROM tapcart.events WHERE endsWith(app_id, '{name[-36:]}')", len(sent))
    return name


def said(stack: Stack, module: str, *arguments: str, status: int | None = 0) -> str:
    """Return a command's whole output."""
    env = stack.env | {
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
        "CLICKHOUSE_URL": stack.clickhouse_url,
        "INGEST_URL": stack.ingest_url.partition("/tapcart_webhooks/")[0],
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, env=env, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    text = (done.stdout + done.stderr).decode()
    assert status is None or done.returncode == status, text
    return text


def is_shown_well(text: str) -> bool:
    """Return whether a terminal may show all of it."""
    return is_harmless(text) and max(map(len, text.split("\n"))) <= LINE_CHARS_MAX


def test_reconcile(stack: Stack, app: str) -> None:
    """An unknown type is a line of the table."""
    text = said(stack, "consumers.reconcile")

    assert is_shown_well(text)
    assert "A\\u001b[2J" in text
    assert app not in text
    assert json.loads(said(stack, "consumers.reconcile", "--json"))["event_types"][LONG]["raw"] >= 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--where", "1", "--dry-run"),
        ("--where", "detail LIKE 'A%' AND source != 'ingest'"),
        ("--where", "detail LIKE 'A%' AND source = 'ingest'"),
        ("--where", HOSTILE),
        ("--untyped",),
    ],
    ids=str,
)
def test_replay(stack: Stack, app: str, arguments: tuple[str, ...]) -> None:
    """Reasons and details of the quarantine, and ClickHouse's message about an invalid condition."""
    text = said(stack, "consumers.replay", *arguments, status=None)

    assert app
    assert "Traceback" not in text
    assert is_shown_well(text)
    assert "could not replay" not in text or arguments[1] == HOSTILE


def test_infer_and_diff(stack: Stack, app: str, tmp_path: Path) -> None:
    """Proposals, their files, and messages about another file."""
    text = said(stack, "schemas", "infer", "--out", str(tmp_path))
    (file,) = tmp_path.glob("AppOpened/*.avsc")
    written = file.read_text()

    assert app
    assert is_shown_well(text)
    assert "\\u009b2J" in text
    assert is_harmless(written)
    assert NAME in json.dumps(json.loads(written), ensure_ascii=False)
    raw = tmp_path / "raw.avsc"
    raw.write_text(json.dumps(json.loads(written), ensure_ascii=False), encoding="utf-8")
    assert is_shown_well(said(stack, "schemas", "diff", "Event_AppOpened_5_0_0", str(raw), status=None))
    raw.write_text(json.dumps({"type": "record", "name": HOSTILE, "fields": []}))
    assert is_shown_well(said(stack, "schemas", "diff", "Event_AppOpened_5_0_0", str(raw), status=1))
    assert is_shown_well(said(stack, "schemas", "add", str(raw), status=1))


def test_status(stack: Stack, app: str) -> None:
    """It shows numbers, and texts of the processes."""
    assert app
    assert is_shown_well(said(stack, "deploy.status", status=None))


def test_tail(stack: Stack, app: str) -> None:
    """In a pipe, as JSON, and on a terminal, where only its own colours remain."""
    env = stack.env | {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka}
    command = [sys.executable, "-m", "consumers.tail", "--app", app, "--since", "2020-01-01"]
    for options in ((), ("--json",)):
        with Child[bytes]([*command, *options], cwd=ROOT, env=env, stdout=subprocess.PIPE) as process:
            assert process.stdout
            lines = [process.stdout.readline().decode() for _ in range(7)]
            process.terminate()
        assert all(map(is_harmless, lines))
        if options:
            assert {json.loads(line)["app_id"] for line in lines} == {app}
    reader, writer = pty.openpty()
    with Child[bytes](command, cwd=ROOT, env=env, stdout=writer) as process:
        os.close(writer)
        shown = b""
        while shown.count(b"\n") < 7:
            shown += os.read(reader, 4096)
        process.terminate()
    os.close(reader)
    assert b"\x1b[2J" not in shown
    assert b"\x1b]" not in shown
    assert is_harmless(shown.decode(), "\n\r\x1b")


def test_report(stack: Stack, app: str, tmp_path: Path) -> None:
    """A merchant's page, with titles, sources and currencies."""
    out = tmp_path / "report.html"
    text = said(stack, "deploy.report", "--app", app, "--out", str(out))
    page = out.read_text()

    assert is_shown_well(text)
    assert is_harmless(page)
    assert "A\\u001b[2J" in page
    assert app not in page
    assert is_shown_well(said(stack, "deploy.report", "--app", f"no {app}", "--out", str(out), status=1))


def test_demo(stack: Stack, app: str) -> None:
    """Its queries show events of any sender."""
    text = said(stack, "deploy.demo", "--events", "20", status=None)

    assert app
    assert "nothing vanishes" in text
    assert is_shown_well(text)


class Hostile(BaseHTTPRequestHandler):
    """A server that answers everything with hostile texts."""

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(422)
        self.send_header("content-type", "application/problem+json")
        self.end_headers()
        self.wfile.write(json.dumps({"detail": LONG * 1000}).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def hostile_url() -> Iterator[str]:
    """A webhook URL of a hostile server."""
    server = HTTPServer(("127.0.0.1", 0), Hostile)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/tapcart_webhooks/token"
    server.shutdown()
    thread.join()
    server.server_close()


def test_doctor(stack: Stack, hostile_url: str) -> None:
    """The server at the URL is not trusted until it is identified."""
    text = said(stack, "deploy.doctor", hostile_url, "--no-clickhouse", status=1)

    assert "A\\u001b[2J" in text
    assert is_shown_well(text)


def test_logs_and_metrics(stack: Stack, app: str) -> None:
    """Of all processes; and the page's data is short."""
    assert app
    for name in ("ingest", "warehouse", "live"):
        log = (stack.data_dir / "log" / f"{name}.log").read_text()
        assert is_harmless(log), name
    assert is_harmless(WEB.get(f"{stack.live_url}/metrics").text)
    state = WEB.get(f"{stack.live_url}/api/snapshot").text
    assert len(state) < 100_000
    assert app not in state
