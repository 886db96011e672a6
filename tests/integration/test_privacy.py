"""People's data in a whole stack: removed before anything is kept; and everything held about one person."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from consumers.kit.erasures.erased_ids import SESSION
from consumers.warehouse.privacy.held_rows import HeldRows
from consumers.warehouse.privacy.people import People
from runtime.kafka import topics
from schemas.codec.redaction import hashing
from tests.support.plain_files import holding, store_plain
from tests.support.process import SAMPLES
from tests.support.site import Site
from tests.support.stack import ROOT
from tests.support.topic import messages_since
from tests.support.waiting import eventually
from tests.support.web import WEB

pytestmark = pytest.mark.slow

_OPENED: dict[str, Any] = json.loads((SAMPLES / "AppOpened.json").read_text())
_KEY = "0123456789abcdef" * 4
_RULES = """
[all]
device_properties.ip = "drop"
new.list.mail = "drop"
"e.mail" = "truncate"
shopify_properties.shopify_user_id = "hash"
[event.Wished]
event_properties.note = "drop"
[event.cartAdd]
device_id = "hash"
data.mail = "hash"
"""
_PLANTED = "planted-Zoë"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack with rules."""
    folder = tmp_path_factory.mktemp("privacy")
    (folder / "rules.toml").write_text(_RULES)
    (folder / "key").write_text(_KEY)
    (folder / "key").chmod(0o600)
    env = {"INGEST_REDACT": str(folder / "rules.toml"), "INGEST_REDACT_KEY_FILE": str(folder / "key")}
    env |= {"WAREHOUSE_TTL_DAYS": "4000", "WAREHOUSE_TTL_DAYS_BY_TABLE": "cart_viewed=30,quarantine=0"}
    running = Site(folder, "", **env)
    running.stack.start()
    try:
        store_plain(running.tables)
        yield running
    finally:
        running.stack.stop()


def event(**changes: Any) -> dict[str, Any]:
    """Return a new AppOpened event."""
    return _OPENED | {"event_id": str(uuid.uuid4()), "app_id": "app-of-privacy"} | changes


def planted_events() -> list[dict[str, Any]]:
    """Return events with planted values wherever a rule removes them."""
    ip = {"device_properties": _OPENED["device_properties"] | {"ip": _PLANTED}}
    user = {"shopify_properties": {"shopify_user_id": _PLANTED, "logged_in": True}}
    return [
        event(**ip, **user),
        event(**ip, new={"list": [{"mail": _PLANTED, "kept": 1}, {"mail": [_PLANTED]}]}),
        event(**user, **{"e.mail": _PLANTED, "device_properties": json.dumps({"ip": _PLANTED})}),
        event(**ip, event_properties={str(n): n for n in range(300)}),
        event(**ip, event_type="Wished", event_properties={"note": _PLANTED, "other": [1, 2]}),
    ]


def test_a_planted_value_is_nowhere(site: Site) -> None:
    """Not in Kafka's segments and messages, the spool, ClickHouse's files and rows, logs, and the page.

    A value that no rule names is found in the same places.
    """
    url, app = site.stack.ingest_url, "app-of-privacy"
    site.post(*planted_events())
    with httpx.Client(timeout=20) as client:
        refused = event(timestamp=1, new={"list": {"mail": _PLANTED}})
        assert client.post(url, json=refused).status_code == 422
        assert client.post(url, content=json.dumps(event(e=_PLANTED))[:-2]).status_code == 400
        headers = {"appid": app, "deviceid": "planted-device", "eventid": str(uuid.uuid4())}
        click = {"event": "cartAdd", "data": {"mail": _PLANTED}}
        assert client.post(url, json=click, headers=headers).status_code == 200
        spool = site.stack.data_dir / "spool"
        site.stack.kill("kafka", signal.SIGSTOP)
        try:
            last = planted_events()[0] | {"control": "kept-by-no-rule"}
            assert client.post(url, json=last).status_code == 200
            spooled = b"".join(path.read_bytes() for path in spool.rglob("*") if path.is_file())
        finally:
            site.stack.kill("kafka", signal.SIGCONT)
    site.tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", 6, 60)
    site.tables.wait(f"SELECT count() FROM tapcart.clickstream WHERE app_id = '{app}'", 1)
    site.tables.wait("SELECT count() >= 2 FROM tapcart.quarantine", 1)
    page = WEB.get(f"{site.stack.live_url}/api/snapshot").text
    start = dict.fromkeys(range(12), 0)
    found = messages_since(site.stack.kafka, topics.EVENTS, start)
    found += messages_since(site.stack.kafka, topics.QUARANTINE, {0: 0})
    held = HeldRows(site.stack.clickhouse_url)
    of_session = held.filter_of(People({SESSION: (_OPENED["session_id"],)}))
    rows = b"".join(row for _, row in held.rows(of_session))
    messages = b"".join((one.value() or b"") + repr(one.headers()).encode() for one in found)
    texts = {"page": page.encode(), "rows": rows, "spool": spooled, "messages": messages}

    assert len(found) >= 9
    assert {name for name, text in texts.items() if b"kept-by-no-rule" in text} >= {
        "rows",
        "spool",
        "messages",
    }
    assert {name for name, text in texts.items() if b"planted" in text} == set()
    assert [*holding(site.stack.data_dir, ["planted"])] == []
    assert [*holding(site.stack.data_dir / "clickhouse", ["kept-by-no-rule"])] != []
    assert hashing(_KEY.encode())(_PLANTED).encode() in rows


def test_a_table_keeps_its_rows_for_as_long_as_agreed(site: Site) -> None:
    """The command shows each retention; what is gone is expired, not missing."""
    days_ago_40 = round((time.time() - 40 * 86_400) * 1000)
    old = {"timestamp": days_ago_40, "app_id": "app-of-retention"}
    viewed = json.loads((SAMPLES / "CartViewed.json").read_text())
    site.post(event(**old), viewed | old | {"event_id": str(uuid.uuid4())})
    site.run("consumers.reconcile")  # waits for the loader
    site.tables.run("OPTIMIZE TABLE tapcart_raw.cart_viewed FINAL")
    report = json.loads(site.run("consumers.reconcile", "--json"))
    words = [line.split() for line in site.run("consumers.retention").splitlines() if line]
    lines = {name: " ".join(rest) for name, *rest in words}
    oldest, *_, goes = lines["app_opened"].split()[2:]

    assert report["totals"]["missing"] == 0
    assert report["totals"]["expired"] == 1
    assert lines["app_opened"].endswith(f"{oldest} 4000 days {goes}")
    assert date.fromisoformat(goes) - date.fromisoformat(oldest) == timedelta(days=4000)
    assert lines["cart_viewed"] == "0 0.0 30 days"
    assert lines["quarantine_replays"] == "0 0.0 forever"
    assert re.fullmatch(r"720 hours, at most [0-9,]+ MiB in each partition", lines["tapcart.events"])
    assert "forever" in lines["quarantine"]


def test_every_action_is_in_the_audit_trail(site: Site, tmp_path: Path) -> None:
    """In the topic, the table and on the page: who, when and how many; no id."""
    device = "id-of-the-audit"
    site.post(event(device_id=device, app_id="app-of-audit"))
    site.run("consumers.reconcile")  # waits for the loader
    site.run("consumers.export", "--device-id", device, "--out", tmp_path / "person.jsonl")
    site.run("consumers.replay", "--where", f"body = '{device}'")
    known = json.loads((site.schemas / "avro/mobile/CartViewed/5_0_0.avsc").read_text())
    (tmp_path / "Praised.avsc").write_text(json.dumps(known | {"name": "Praised"}))
    site.run("schemas", "add", tmp_path / "Praised.avsc")
    revoked = site.run("ingest.tokens", "new", "--app", "elsewhere")
    sql = "SELECT count() >= {} FROM tapcart.audit_trail WHERE action = '{}'"
    for action, rows in (("export", 2), ("replay", 2), ("schemas", 2), ("tokens", 2)):
        site.tables.wait(sql.format(rows, action), 1, 60)
    trail = "SELECT count, detail FROM tapcart.audit_trail WHERE action = 'export' AND state = 'done'"
    text = site.tables.run("SELECT * FROM tapcart.audit_trail FORMAT JSONEachRow")
    page = eventually(lambda: _audit_of(site), 60)
    values = b"".join(one.value() or b"" for one in messages_since(site.stack.kafka, topics.AUDIT, {0: 0}))

    assert [2, "1 x device_id"] in site.tables.rows(trail)  # the event, and its row in visits
    assert {"export", "replay", "schemas", "tokens"} <= {one["action"] for one in page}
    assert "Event_Praised_5_0_0" in text or "Event_Praised" in text
    assert device not in text
    assert device.encode() not in values
    assert revoked.strip() not in text


def _audit_of(site: Site) -> list[dict[str, Any]]:
    """Return the page's audit trail, once it has all kinds of actions."""
    found: list[dict[str, Any]] = httpx.get(f"{site.stack.live_url}/api/snapshot").json()["audit"] or []
    return found if len({one["action"] for one in found}) >= 4 else []


@dataclass(frozen=True)
class Export:
    """The output of the command."""

    rows: list[dict[str, Any]]
    said: str


def export(site: Site, *options: str, **env: str) -> Export:
    """Run the command."""
    done = subprocess.run(
        [sys.executable, "-m", "consumers.export", *options],
        cwd=ROOT,
        env=os.environ | site.stack.env
        | {"KAFKA_BOOTSTRAP_SERVERS": site.stack.kafka, "CLICKHOUSE_URL": site.stack.clickhouse_url} | env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Export([json.loads(line) for line in done.stdout.splitlines()], done.stderr)


def test_everything_held_about_one_person_is_exported(site: Site, tmp_path: Path) -> None:
    """In typed columns, `extra`, unmodelled and clickstream JSON, visits, the quarantine; of nobody else."""
    device, other, session, user = (
        f"{name}-{uuid.uuid4()}" for name in ("device", "other", "session", "user")
    )
    app = f"app-{uuid.uuid4()}"
    mine = [
        event(app_id=app, device_id=device, session_id=session),
        event(app_id=app, device_id=other, note={"of": [f"see {device}!"]}),
        event(app_id=app, device_id=other, event_type="Wished", event_properties={"by": device}),
        event(app_id=app, device_id=other, shopify_properties={"shopify_user_id": user}),
    ]
    theirs = [event(app_id=app, device_id=other), event(app_id=app, device_id=f"{device}-2")]
    site.post(*mine, *theirs)
    click = {"event": "cartAdd", "data": {"for": device}, "mp_metadata": {"mp_event_id": str(uuid.uuid4())}}
    with httpx.Client(timeout=20) as client:
        headers = {"appid": app, "deviceid": "x"}
        assert client.post(site.stack.ingest_url, json=click, headers=headers).status_code == 200
        escaped = json.dumps(event(app_id=app, timestamp=1)).replace(
            _OPENED["device_id"], f"\\u0064{device[1:]}"
        )
        assert client.post(site.stack.ingest_url, content=escaped).status_code == 422
    site.tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", 6)
    site.tables.wait(f"SELECT count() FROM tapcart.clickstream WHERE app_id = '{app}'", 1)
    site.tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{app}'", 1)
    key = str(site.folder / "key")
    ids = ("--device-id", device, "--shopify-user-id", user)
    found = export(site, *ids, INGEST_REDACT_KEY_FILE=key)
    of_app = export(site, *ids, "--app-id", "another", INGEST_REDACT_KEY_FILE=key)
    path = tmp_path / "person.jsonl"
    without_key = export(site, *ids, "--out", str(path), INGEST_REDACT_KEY_FILE="")
    events = {
        one["row"]["event_id"] for one in found.rows if "event_properties.app_open_source" in one["row"]
    }
    tables = sorted(one["table"] for one in found.rows)

    assert tables == ["app_opened"] * 3 + ["clickstream", "quarantine", "unmodelled", "visits"]
    assert events == {mine[at]["event_id"] for at in (0, 1, 3)}
    assert f"shopify_user_id {hashing(_KEY.encode())(user)}" not in found.said
    assert f"session_id {_OPENED['session_id']}" in found.said
    assert session in found.said
    assert of_app.rows == []
    assert without_key.rows == []
    assert len(path.read_text().splitlines()) == 6
    assert path.stat().st_mode & 0o777 == 0o600
