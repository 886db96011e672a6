"""An event without a device, or with an odd time, is in its table once and counts for no device."""

import json
import subprocess
import sys
import uuid
from typing import Any

import pytest

from tests.support.process import SAMPLES
from tests.support.quarantine import quarantine
from tests.support.stack import ROOT, Stack
from tests.support.warehouse import Tables
from tests.support.web import WEB

SENT_MS = 1_790_000_000_000


def event(name: str, **changes: Any) -> dict[str, Any]:
    """Return a sample with its own id; Ellipsis removes a member."""
    sent = json.loads((SAMPLES / f"{name}.json").read_text())
    sent |= {"event_id": str(uuid.uuid4()), "timestamp": SENT_MS, **changes}
    return {member: value for member, value in sent.items() if value is not ...}


def run(stack: Stack, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as make does."""
    env = stack.env | {
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
        "CLICKHOUSE_URL": stack.clickhouse_url,
        "INGEST_URL": stack.ingest_url.partition("/tapcart_webhooks/")[0],
    }
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """An app with events of one device, and as many without one; each is posted twice."""
    name = f"no-device-{uuid.uuid4().hex[:8]}"
    for device in ("d-1", ..., None, ""):
        for kind in (
            "AppOpened",
            "ProductViewed",
            "CartUpdated",
            "PushNotificationReceived",
            "WishlistShared",
        ):
            is_known = kind != "WishlistShared"
            sent = event(
                kind if is_known else "AppOpened",
                event_type=kind,
                app_id=name,
                device_id=device,
                session_id="s-1",
            )
            for _ in range(2):
                assert WEB.post(stack.ingest_url, json=sent).status_code == 200
    purchase = event("PurchaseCompleted", app_id=name, device_id=..., session_id=...)
    assert WEB.post(stack.ingest_url, json=purchase).status_code == 200
    Tables(stack.clickhouse_url).wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{name}'", 21)
    return name


def test_every_event_without_a_device_is_there_once(stack: Stack, app: str) -> None:
    """Its identity is its id; the device is an empty text in typed and unmodelled tables."""
    tables = Tables(stack.clickhouse_url)
    counted = "SELECT event_type, countIf(device_id = ''), countIf(device_id != '') FROM tapcart.events"

    assert {
        kind: counts for kind, *counts in tables.rows(f"{counted} WHERE app_id = '{app}' GROUP BY 1")
    } == {
        "AppOpened": [3, 1],
        "ProductViewed": [3, 1],
        "CartUpdated": [3, 1],
        "PushNotificationReceived": [3, 1],
        "WishlistShared": [3, 1],
        "PurchaseCompleted": [1, 0],
    }
    assert run(stack, "consumers.reconcile").returncode == 0


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("SELECT sum(dau), sum(new_devices), max(mau) FROM tapcart.active_devices_daily", [1, 1, 1]),
        ("SELECT sum(devices), sum(cohort_devices) FROM tapcart.retention_weekly", [1, 1]),
        ("SELECT sum(opened), sum(viewed) FROM tapcart.funnel_daily", [1, 1]),
        ("SELECT count(), min(device_id), sum(events) FROM tapcart.sessions", [1, "d-1", 20]),
        ("SELECT sum(received) FROM tapcart.push_performance", [1]),
        ("SELECT uniqExact(device_id), min(device_id) FROM tapcart.carts_abandoned", [1, "d-1"]),
        ("SELECT count() FROM tapcart.orders", [1]),
        ("SELECT countIf(device_id = '' AND session_id = '') FROM tapcart_raw.visits", [0]),
    ],
)
def test_no_device_is_counted_as_no_device(stack: Stack, app: str, query: str, answer: list[Any]) -> None:
    """Otherwise all events without one would be one device that never leaves."""
    assert Tables(stack.clickhouse_url).rows(f"{query} WHERE app_id = '{app}'") == [answer]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"device_id": ...}, "/device_id"),
        ({"device_id": ""}, "/device_id"),
        ({"timestamp": str(SENT_MS)}, "/timestamp"),
        ({"timestamp": "soon"}, "/timestamp"),
    ],
    ids=str,
)
def test_what_an_older_rule_refused_is_put_back(stack: Stack, changes: dict[str, Any], pointer: str) -> None:
    """`make replay` makes an event of each body that was quarantined before the rule changed."""
    sent = event("PurchaseCompleted", app_id=f"old-{uuid.uuid4().hex[:8]}", **changes)
    quarantine(
        stack, json.dumps(sent).encode(), event_id=sent["event_id"], pointer=pointer, app_id=sent["app_id"]
    )
    done = run(stack, "consumers.replay", "--where", f"event_id = '{sent['event_id']}'")

    assert (done.returncode, done.stdout) == (0, "1 put back, 0 stay\n"), done.stderr
    tables = Tables(stack.clickhouse_url)
    found = f"FROM tapcart.purchase_completed WHERE event_id = '{sent['event_id']}'"
    tables.wait(f"SELECT count() {found}", 1)
    assert tables.one(f"SELECT device_id {found}") == (sent.get("device_id") or "")
