"""The live page on the whole pipeline: its numbers are SQL's, and failed components are shown as such."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from confluent_kafka import Producer

from deploy.demo.samples import FOLDER
from runtime.kafka import topics
from tests.support.live import Live, event, hanging, lines, post, settled, sql, within_a_day
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Tables, catch_up
from tests.support.web import WEB

SESAME = "0123456789abcdef"
PARTS = ("clickhouse", "under_way", "spooled", "refused", "repeats")


@pytest.fixture(autouse=True)
def _day() -> None:
    """The page's numbers of today stay those of one day."""
    within_a_day()


@pytest.fixture(scope="module")
def live(stack: Stack) -> Iterator[Live]:
    """A live page of this module, and events to show."""
    post(stack, *(event(path.stem) for path in FOLDER.glob("*.json")))
    page = Live(stack)
    yield page
    if page.process.poll() is None:
        assert page.stop() == 0


def table(stack: Stack, query: str) -> dict[str, int]:
    """Return two columns as name -> number."""
    return {name: int(count) for name, count in json.loads(sql(stack, f"{query} FORMAT JSONCompact"))["data"]}


def types_shown(state: dict[str, Any]) -> dict[str, int]:
    """Return the event types of the page's window that have events."""
    return {one["event_type"]: one["count"] for one in state["window"]["types"] if one["count"]}


def types_since(stack: Stack, start_ms: int) -> dict[str, int]:
    """Return all of them from SQL; the page truncates a type's name to 80 characters."""
    since = f"received_at >= fromUnixTimestamp64Milli({start_ms})"
    return table(
        stack, f"SELECT leftUTF8(event_type, 80) AS t, count() FROM tapcart.events WHERE {since} GROUP BY t"
    )


def groups_of(stack: Stack) -> list[list[Any]]:
    """Return the page's groups of the quarantine from SQL: the most frequent ones, truncated."""
    names = ", ".join(
        f"leftUTF8(toString({name}), 200) AS {name[0]}" for name in ("reason", "pointer", "source")
    )
    return Tables(stack.clickhouse_url).rows(
        f"SELECT {names}, count() AS n FROM tapcart.quarantine WHERE reason != 'probe'"
        " GROUP BY r, p, s ORDER BY n DESC, r, p, s LIMIT 20"
    )


def test_the_numbers_are_those_of_sql(stack: Stack, live: Live) -> None:
    """Total, every type of the window, and the quarantine; a duplicate counts once."""
    twice = event("AppOpened")
    post(stack, twice, event("AppOpened"), event("ProductViewed", event_type="WishlistShared"))
    assert WEB.post(stack.ingest_url, content=twice).status_code == 200
    assert WEB.post(stack.ingest_url, content=b"{").status_code == 400
    state = settled(live)
    by_type = types_since(stack, state["window"]["start_ms"])
    shown = types_shown(state)
    groups = [
        [one[name] for name in ("reason", "pointer", "source", "count")]
        for one in state["quarantine"]["groups"]
    ]

    assert state["total"]["count"] == int(sql(stack, "SELECT count() FROM tapcart.events"))
    assert shown == {name: by_type[name] for name in shown}
    assert {"AppOpened", "ProductViewed"} <= shown.keys()
    assert state["window"]["other"] == sum(by_type.values()) - sum(shown.values())
    assert state["window"]["count"] == sum(by_type.values()) == sum(state["window"]["buckets"])
    assert groups == groups_of(stack) != []
    assert state["freshness"]["age_ms"] == 0
    assert {one["health"] for one in state["components"]} == {"up"}


def test_where_todays_events_are_adds_up(stack: Stack, live: Live) -> None:
    """Acknowledged ones are Kafka's records of today; duplicates and rejected bodies count separately."""
    before = settled(live)["balance"]
    twice = event("AppOpened")
    post(stack, twice, event("AppOpened"))
    assert WEB.post(stack.ingest_url, content=twice).status_code == 200
    # A body of its own: the quarantine keeps equal ones, which another test may have sent, once.
    rejected = event("AppOpened", event_id="", app_id=f"app-{uuid4()}")
    assert WEB.post(stack.ingest_url, content=rejected).status_code == 422
    assert eventually(lambda: settled(live)["balance"]["turned_away"] == before["turned_away"] + 1)
    after = settled(live)["balance"]
    today = f"received_at >= fromUnixTimestamp64Milli({after['start_ms']}, 'UTC')"

    assert {name: after[name] - before[name] for name in ("acknowledged", "clickhouse", "repeats")} == {
        "acknowledged": 3,
        "clickhouse": 2,
        "repeats": 1,
    }
    assert (after["under_way"], after["spooled"]) == (0, 0)
    assert after["clickhouse"] == int(sql(stack, f"SELECT count() FROM tapcart.events WHERE {today}"))
    assert after["acknowledged"] == sum(after[name] for name in PARTS)


def test_a_record_put_back_is_not_refused_as_well(stack: Stack, live: Live) -> None:
    """A record counts in one place: in the quarantine until it is replayed."""
    value = f"foreign {uuid4()}"
    producer = Producer({"bootstrap.servers": stack.kafka})
    producer.produce(topics.EVENTS, value.encode())
    assert producer.flush(10) == 0
    row = f"tapcart_raw.quarantine WHERE body = '{value}'"
    assert eventually(lambda: sql(stack, f"SELECT count() FROM {row}") == "1\n")
    refused = settled(live)["balance"]["refused"]
    marks = "tapcart_raw.quarantine_replays (body_hash, replayed_at)"
    sql(stack, f"INSERT INTO {marks} SELECT body_hash, now() FROM {row}")

    assert settled(live)["balance"]["refused"] == refused - 1


def test_the_newest_event_comes_first_and_whole(stack: Stack, live: Live) -> None:
    """Each sent field, by its path; personal data is redacted."""
    sent = json.loads(event("ProductViewed"))
    post(stack, json.dumps(sent).encode())
    keys = [one["key"] for one in settled(live)["newest"]]
    newest = [WEB.get(f"{live.url}/api/events/{key}").json() for key in keys]
    (shown,) = (fields for fields in newest if fields.get("event_id") == sent["event_id"])

    assert shown["event_properties.product_title"] == sent["event_properties"]["product_title"]
    assert shown["device_id"] == f"{sent['device_id'][:4]}…"
    assert shown["device_properties.ip"] == f"{sent['device_properties']['ip'][:1]}…"


def test_a_sample_tells_what_was_sent(stack: Stack, live: Live) -> None:
    """The newest body of each fault, with the place of the fault."""
    assert WEB.post(stack.ingest_url, content=event("AppOpened", event_id=7)).status_code == 422
    groups = settled(live)["quarantine"]["groups"]
    (group,) = (one for one in groups if one["pointer"] == "/event_id")
    sample = json.loads(WEB.get(f"{live.url}/api/samples/{group['sample']}").json()["text"])

    assert (group["reason"], group["source"], sample["event_id"]) == ("invalid_field", "ingest", 7)


def test_lag_and_freshness_are_kafkas(stack: Stack, live: Live) -> None:
    """While the loader hangs, records wait and the oldest one ages; then it catches up."""
    catch_up(stack.kafka)
    with hanging(stack, "warehouse"):
        for _ in range(3):
            assert WEB.post(stack.ingest_url, content=event("AppOpened")).status_code == 200
        eventually(lambda: live.snapshot()["lag"]["records"] == 3)
        eventually(lambda: (live.snapshot()["freshness"]["age_ms"] or 0) > 1000)
        lags = {one["partition"]: one["lag"] for one in live.snapshot()["lag"]["partitions"] if one["lag"]}

        assert list(lags.values()) == [3], "one app is one partition"
    eventually(lambda: live.snapshot()["lag"]["records"] == 0)

    assert live.snapshot()["freshness"]["age_ms"] == 0


def test_says_that_clickhouse_hangs_and_recovers(stack: Stack, live: Live) -> None:
    """Meanwhile the page continues, with the last numbers and their time."""
    before = settled(live)["total"]
    with hanging(stack, "clickhouse"):
        eventually(lambda: live.health("clickhouse") == "down")
        state = live.snapshot()

        assert state["total"]["count"] == before["count"]
        assert state["now_ms"] > state["total"]["as_of_ms"] + 1000
        assert live.health("kafka") == "up"
        assert WEB.get(f"{live.url}/readyz").json()["away"] == {"clickhouse": "does not answer"}
    eventually(lambda: live.health("clickhouse") == "up")


def test_says_that_ingest_is_away_and_recovers(stack: Stack, live: Live) -> None:
    """The stack restarts it after a kill."""
    with hanging(stack, "ingest"):
        eventually(lambda: live.health("ingest") == "down")
    eventually(lambda: live.health("ingest") == "up")


def test_events_are_streamed(stack: Stack, live: Live) -> None:
    """A page gets the state at once, then a new one after every change."""
    with httpx.stream("GET", f"{live.url}/events", timeout=20) as stream:
        states = (json.loads(line[6:]) for line in lines(stream) if line.startswith("data: "))
        first = next(state for state in states if state["total"])["total"]["count"]
        post(stack, event("AppOpened"))

        assert stream.headers["content-type"].startswith("text/event-stream")
        assert any(state["total"]["count"] > first for _, state in zip(range(100), states, strict=False))


def test_a_hundred_pages_cost_clickhouse_no_more_than_one(live: Live) -> None:
    """Queries are counted over ten states with one page open and with a hundred."""

    def looks_during_states(pages: int) -> float:
        with httpx.Client(timeout=20, limits=httpx.Limits(max_connections=200)) as client:
            streams = [client.stream("GET", f"{live.url}/events") for _ in range(pages)]
            opened = [stream.__enter__() for stream in streams]
            received = lines(opened[-1])
            before = metric(live, 'tapline_live_looks_total{component="clickhouse",result="ok"}')
            for _ in range(10):
                next(line for line in received if line.startswith("data: "))
            after = metric(live, 'tapline_live_looks_total{component="clickhouse",result="ok"}')
            assert metric(live, "tapline_live_pages") >= pages
            for stream in streams:
                stream.__exit__(None, None, None)
            return after - before

    assert looks_during_states(100) <= looks_during_states(1) + 5


def test_stops_at_once_with_pages_open(stack: Stack) -> None:
    """SIGTERM ends the streams and the process, in order."""
    page = Live(stack)
    with httpx.stream("GET", f"{page.url}/events", timeout=20) as stream:
        received = lines(stream)
        next(received)

        assert page.stop() == 0
        assert list(received)[-1] == "", "the last state came whole"


def test_is_not_open_to_others_without_a_token(stack: Stack) -> None:
    """Bound to all addresses it does not start without a token; with one it requires it."""
    env = os.environ | {"LIVE_HOST": "::", "KAFKA_BOOTSTRAP_SERVERS": stack.kafka}
    command = [sys.executable, "-m", "consumers.live"]
    refused = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    page = Live(stack, LIVE_HOST="127.0.0.1", LIVE_TOKEN=SESAME)
    answers = [
        WEB.get(f"{page.url}/api/snapshot", auth=auth).status_code
        for auth in (None, httpx.BasicAuth("me", "wrong"), httpx.BasicAuth("me", SESAME))
    ]
    page.stop()

    assert (refused.returncode, "LIVE_TOKEN" in refused.stderr) == (2, True)
    assert answers == [401, 401, 200]


def metric(live: Live, name: str) -> float:
    """Return a metric of the live page."""
    found: Callable[[str], bool] = lambda line: line.startswith(f"{name} ")  # noqa: E731 - a type for mypy
    return float(next(filter(found, WEB.get(f"{live.url}/metrics").text.splitlines())).rsplit(" ", 1)[1])
