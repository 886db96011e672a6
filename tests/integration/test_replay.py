"""Quarantined bodies become events, and retained records become rows again."""

import json
import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from runtime.kafka import record_headers, topics
from schemas.codec.events import EventDecoder
from tests.support.process import SAMPLES
from tests.support.quarantine import quarantine
from tests.support.stack import ROOT, Stack
from tests.support.topic import end_offsets, headers_of, messages_since
from tests.support.waiting import eventually
from tests.support.warehouse import CATALOG, catch_up, committed
from tests.support.web import WEB


def sql(stack: Stack, query: str) -> str:
    """Return the answer's text."""
    answer = WEB.post(stack.clickhouse_url, content=query)
    assert answer.status_code == 200, answer.text
    return answer.text.strip()


def replay(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as `make replay` does."""
    env = (
        os.environ
        | stack.env
        | {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "CLICKHOUSE_URL": stack.clickhouse_url}
    )
    return subprocess.run(
        [sys.executable, "-m", "consumers.replay", *arguments],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def event(**changes: object) -> dict[str, Any]:
    """Return a valid event with an id of its own."""
    body: dict[str, Any] = json.loads((SAMPLES / "OrderCreated.json").read_text())
    return body | {"event_id": str(uuid.uuid4())} | changes


def orders(stack: Stack, event_id: str) -> int:
    """Return how often an order can be read."""
    return int(sql(stack, f"SELECT count() FROM tapcart.order_created WHERE event_id = '{event_id}'"))


def test_what_the_rules_of_today_allow_is_put_back_once(stack: Stack) -> None:
    """The event is in its table, the row is marked, and a second run finds nothing."""
    good = event()
    quarantine(stack, json.dumps(good).encode(), event_id=good["event_id"])
    where = f"event_id = '{good['event_id']}'"
    first = replay(stack, "--where", where)

    assert (first.returncode, first.stdout) == (0, "1 put back, 0 stay\n"), first.stderr
    assert eventually(lambda: orders(stack, good["event_id"]) == 1)
    assert sql(stack, f"SELECT replayed_at > received_at FROM tapcart.quarantine WHERE {where}") == "1"
    assert replay(stack, "--where", where).stdout == "0 put back, 0 stay\n"
    assert orders(stack, good["event_id"]) == 1


def test_a_bound_token_posts_for_no_other_app_through_the_quarantine(stack: Stack) -> None:
    """Another app's event, declared as compressed, has no app in its row; replay keeps the rights."""
    done = subprocess.run(
        [sys.executable, "-m", "ingest.tokens", "new", "--app", "its-own-app"],
        cwd=ROOT, env=os.environ | stack.env, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    url, others, own = stack.ingest_url.rpartition("/")[0], event(), event(app_id="its-own-app")
    bearer = {"authorization": f"Bearer {done.stdout.strip()}"}
    with httpx.Client(headers=bearer | {"content-encoding": "gzip"}) as http:
        assert eventually(lambda: http.post(url, json=others).status_code == 400)
        assert http.post(url, json=own).status_code == 400
    where = "reason = 'content_encoding' AND allowed_app_ids = 'its-own-app'"
    count = f"SELECT count() FROM tapcart.quarantine WHERE {where}"
    assert eventually(lambda: sql(stack, count) == "2")
    replayed = replay(stack, "--where", where)

    assert replayed.returncode == 1
    assert "1 put back, 1 stay" in replayed.stdout
    assert "403" in replayed.stdout
    assert eventually(lambda: orders(stack, own["event_id"]) == 1)
    assert orders(stack, others["event_id"]) == 0


def test_a_replayed_record_goes_on_with_the_trace_of_its_sender(stack: Stack) -> None:
    """It is a header of the record that ingest writes for the body; without one, there is none."""
    trace, traced, untraced = f"00-{uuid.uuid4().hex}-b7ad6b7169203331-01", event(), event()
    before = end_offsets(stack.kafka, topics.EVENTS)
    for body, headers in ((traced, {"traceparent": trace}), (untraced, {})):
        answer = WEB.post(stack.ingest_url, json=body, headers={"content-encoding": "gzip", **headers})
        assert answer.status_code == 400
    named = [json.dumps(body["event_id"]) for body in (traced, untraced)]
    where = " OR ".join(f"position(body, '{name}') > 0" for name in named)
    count = f"SELECT count() FROM tapcart.quarantine WHERE {where}"
    assert eventually(lambda: sql(stack, count) == "2")
    replayed = replay(stack, "--where", where)
    records = map(headers_of, messages_since(stack.kafka, topics.EVENTS, before))
    traces = {one[record_headers.EVENT_ID]: one.get(record_headers.TRACEPARENT) for one in records}

    assert "2 put back, 0 stay" in replayed.stdout, replayed.stderr
    assert traces[traced["event_id"].encode()] == trace.encode()
    assert traces[untraced["event_id"].encode()] is None


def test_what_still_has_no_place_stays_with_its_new_reason(stack: Stack) -> None:
    """Exit status 1, the reason is printed, and the body's only row has it."""
    body = json.dumps(event(timestamp=17)).encode()
    quarantine(stack, body)
    where = f"body = unhex('{body.hex()}')"
    done = replay(stack, "--where", where)

    assert done.returncode == 1
    assert "422" in done.stdout
    assert eventually(
        lambda: sql(stack, f"SELECT reason FROM tapcart.quarantine WHERE {where}") == "time_out_of_range"
    )
    assert sql(stack, f"SELECT replayed_at IS NULL FROM tapcart.quarantine WHERE {where}") == "1"


@pytest.mark.parametrize(
    ("source", "record"), [("warehouse", "tapcart.events/3/1000000"), ("spool", "tapcart.events/-1/-1")]
)
def test_what_loader_or_kafka_refused_takes_the_loaders_path(stack: Stack, source: str, record: str) -> None:
    """An accepted value becomes a row, at its record's place, if it had one."""
    good = event()
    value = EventDecoder(CATALOG).decode(json.dumps(good).encode(), {}).encode(1_760_000_000_000)
    quarantine(stack, value, source=source, reason="refused", record=record)
    done = replay(stack, "--where", f"body = unhex('{value.hex()}')")

    assert done.returncode == 0, done.stdout + done.stderr
    assert orders(stack, good["event_id"]) == 1


def test_what_is_damaged_is_never_guessed(stack: Stack) -> None:
    """A damaged value stays, even if it decodes."""
    value = EventDecoder(CATALOG).decode(json.dumps(event()).encode(), {}).encode(1_760_000_000_001)
    quarantine(stack, value, source="warehouse", reason="damaged", record="tapcart.events/3/1000001")
    done = replay(stack, "--where", f"body = unhex('{value.hex()}')")

    assert done.returncode == 1
    assert "damaged" in done.stdout


def test_a_dry_run_changes_nothing(stack: Stack) -> None:
    """It counts the rows to be sent."""
    good = event()
    quarantine(stack, json.dumps(good).encode(), event_id=good["event_id"])
    done = replay(stack, "--where", f"event_id = '{good['event_id']}'", "--dry-run")

    assert done.returncode == 0
    assert "1 rows would be replayed; this was a dry run" in done.stdout
    assert orders(stack, good["event_id"]) == 0


def test_tables_are_loaded_again_from_kafka(stack: Stack) -> None:
    """Deleted rows return; the loader's offsets stay."""
    good = event()
    assert WEB.post(stack.ingest_url, json=good).status_code == 200
    assert eventually(lambda: orders(stack, good["event_id"]) == 1)
    catch_up(stack.kafka)
    before = committed(stack.kafka)
    row = f"event_id = '{good['event_id']}'"
    sql(stack, f"ALTER TABLE tapcart_raw.order_created DELETE WHERE {row} SETTINGS mutations_sync = 2")
    assert orders(stack, good["event_id"]) == 0
    now = datetime.now(UTC)
    days = [f"{now + timedelta(days=days):%Y-%m-%d}" for days in (-1, 1)]  # it may be midnight
    done = replay(stack, "--from", days[0], "--to", days[1])

    assert done.returncode == ("stay" in done.stdout), done.stderr  # others' records that are not events
    assert orders(stack, good["event_id"]) == 1
    assert committed(stack.kafka) == before


@pytest.mark.parametrize(
    "arguments", [[], ["--where", "1", "--from", "2026-01-01"], ["--from", "2026-01-01"]]
)
def test_arguments_that_make_no_sense_are_told(stack: Stack, arguments: list[str]) -> None:
    """Exit status 2 and a sentence."""
    done = replay(stack, *arguments)

    assert done.returncode == 2
    assert "either --where" in done.stderr
