"""The live page on the whole pipeline: its numbers are SQL's, it says what is away, and nothing injects."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from deploy.demo.samples import FOLDER
from tests.integration import chromium
from tests.process import eventually, free_port
from tests.stack import ROOT, Stack

SESAME = "0123456789abcdef"
HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"

needs_browser = pytest.mark.skipif(chromium.PATH is None, reason="no chromium on PATH")


class Live:
    """`python -m consumers.live` beside the stack's own, quick to notice."""

    def __init__(self, stack: Stack, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = os.environ | {
            "LIVE_PORT": str(self.port),
            "LIVE_REFRESH_SECONDS": "0.2",
            "LIVE_QUERY_SECONDS_MAX": "1",
            "LIVE_QUERY_SHARE_MAX": "1",
            "LIVE_INGEST_URL": stack.ingest_url.partition("/tapcart_webhooks/")[0],
            "CLICKHOUSE_URL": stack.clickhouse_url,
            "KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
            **env,
        }
        self.start()

    def start(self) -> None:
        """Start, on the same port each time."""
        self.process = subprocess.Popen([sys.executable, "-m", "consumers.live"], cwd=ROOT, env=self._env)
        assert eventually(lambda: httpx.get(f"{self.url}/readyz").json() == {"ready": True, "away": {}})

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the page now."""
        answer: dict[str, Any] = httpx.get(f"{self.url}/api/snapshot").raise_for_status().json()
        return answer

    def health(self, name: str) -> str:
        """Return what the page says of a component."""
        (found,) = (one["health"] for one in self.snapshot()["components"] if one["name"] == name)
        return str(found)

    def stop(self) -> int:
        """End it in order; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10)


@pytest.fixture(scope="module")
def live(stack: Stack) -> Iterator[Live]:
    """A live page of this module's own, and events of its own to show."""
    post(stack, *(event(path.stem) for path in FOLDER.glob("*.json")))
    page = Live(stack)
    yield page
    if page.process.poll() is None:
        assert page.stop() == 0


def event(name: str, **changes: Any) -> bytes:
    """Return a sample with an id of its own."""
    sample: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return json.dumps(sample | {"event_id": str(uuid4())} | changes).encode()


def post(stack: Stack, *bodies: bytes) -> None:
    """Send events, and return when SQL finds them all."""
    before = int(sql(stack, "SELECT count() FROM tapcart.events"))
    for body in bodies:
        assert httpx.post(stack.ingest_url, content=body).status_code == 200
    eventually(lambda: int(sql(stack, "SELECT count() FROM tapcart.events")) >= before + len(set(bodies)))


def sql(stack: Stack, query: str) -> str:
    """Return ClickHouse's answer."""
    return httpx.post(stack.clickhouse_url, content=query.encode(), timeout=20).raise_for_status().text


def table(stack: Stack, query: str) -> dict[str, int]:
    """Return two columns as name -> number."""
    return {name: int(count) for name, count in json.loads(sql(stack, f"{query} FORMAT JSONCompact"))["data"]}


def types_shown(state: dict[str, Any]) -> dict[str, int]:
    """Return the event types of the page's window that have events."""
    return {one["event_type"]: one["count"] for one in state["window"]["types"] if one["count"]}


def types_since(stack: Stack, start_ms: int) -> dict[str, int]:
    """Return the same from SQL; the page cuts a type's name after 80 characters."""
    since = f"received_at >= fromUnixTimestamp64Milli({start_ms})"
    return table(
        stack, f"SELECT leftUTF8(event_type, 80) AS t, count() FROM tapcart.events WHERE {since} GROUP BY t"
    )


def settled(live: Live) -> dict[str, Any]:
    """Return a state that was looked at after all that was posted before this call had been loaded."""
    posted_ms = time.time() * 1000

    def loaded() -> bool:
        lag = live.snapshot()["lag"]
        return bool(lag["as_of_ms"] > posted_ms and lag["records"] == 0)

    def seen() -> bool:
        state = live.snapshot()
        looked = (state["window"]["end_ms"], state["total"]["as_of_ms"], state["quarantine"]["as_of_ms"])
        return bool(min(looked) > loaded_ms)

    assert eventually(loaded)
    loaded_ms = time.time() * 1000
    assert eventually(seen)
    return live.snapshot()


def test_the_numbers_are_those_of_sql(stack: Stack, live: Live) -> None:
    """Total, every type of the window, and the quarantine; an event sent twice counts once."""
    twice = event("AppOpened")
    post(stack, twice, event("AppOpened"), event("ProductViewed", event_type="WishlistShared"))
    assert httpx.post(stack.ingest_url, content=twice).status_code == 200
    assert httpx.post(stack.ingest_url, content=b"{").status_code == 400
    state = settled(live)
    by_type = types_since(stack, state["window"]["start_ms"])
    by_reason = table(stack, "SELECT reason, count() FROM tapcart.quarantine GROUP BY reason")

    assert state["total"]["count"] == int(sql(stack, "SELECT count() FROM tapcart.events"))
    assert types_shown(state) == by_type
    assert {"AppOpened", "WishlistShared"} <= by_type.keys()
    assert state["window"]["count"] == sum(by_type.values()) == sum(state["window"]["buckets"])
    assert {one["reason"]: one["count"] for one in state["quarantine"]["reasons"]} == by_reason
    assert state["freshness"]["age_ms"] == 0
    assert {one["health"] for one in state["components"]} == {"up"}


def test_lag_and_freshness_are_kafkas(stack: Stack, live: Live) -> None:
    """While the loader hangs, records wait and the oldest one ages; then it catches up."""
    with hanging(stack, "warehouse"):
        for _ in range(3):
            assert httpx.post(stack.ingest_url, content=event("AppOpened")).status_code == 200
        eventually(lambda: live.snapshot()["lag"]["records"] == 3)
        eventually(lambda: (live.snapshot()["freshness"]["age_ms"] or 0) > 1000)
        lags = {one["partition"]: one["lag"] for one in live.snapshot()["lag"]["partitions"] if one["lag"]}

        assert list(lags.values()) == [3], "one app is one partition"
    eventually(lambda: live.snapshot()["lag"]["records"] == 0)

    assert live.snapshot()["freshness"]["age_ms"] == 0


def test_says_that_clickhouse_hangs_and_recovers(stack: Stack, live: Live) -> None:
    """The page goes on meanwhile, with the last numbers and the time they are of."""
    before = live.snapshot()["total"]
    with hanging(stack, "clickhouse"):
        eventually(lambda: live.health("clickhouse") == "down")
        state = live.snapshot()

        assert state["total"]["count"] == before["count"]
        assert state["now_ms"] > state["total"]["as_of_ms"] + 1000
        assert live.health("kafka") == "up"
        assert httpx.get(f"{live.url}/readyz").json()["away"] == {"clickhouse": "does not answer"}
    eventually(lambda: live.health("clickhouse") == "up")


def test_says_that_ingest_is_away_and_recovers(stack: Stack, live: Live) -> None:
    """Killed, it is started again by the stack."""
    with hanging(stack, "ingest"):
        eventually(lambda: live.health("ingest") == "down")
    eventually(lambda: live.health("ingest") == "up")


def test_events_are_streamed(stack: Stack, live: Live) -> None:
    """A page gets the state at once, then a new one whenever something came."""
    with httpx.stream("GET", f"{live.url}/events", timeout=20) as stream:
        states = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
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
            lines = opened[-1].iter_lines()
            before = metric(live, 'tapline_live_looks_total{component="clickhouse",result="ok"}')
            for _ in range(10):
                next(line for line in lines if line.startswith("data: "))
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
        lines = stream.iter_lines()
        next(lines)

        assert page.stop() == 0
        assert list(lines)[-1] == "", "the last state came whole"


def test_is_not_open_to_others_without_a_token(stack: Stack) -> None:
    """Bound to all addresses it does not start; with a token it asks for it."""
    env = os.environ | {"LIVE_HOST": "::", "KAFKA_BOOTSTRAP_SERVERS": stack.kafka}
    command = [sys.executable, "-m", "consumers.live"]
    refused = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=20, check=False
    )
    page = Live(stack, LIVE_HOST="127.0.0.1", LIVE_TOKEN=SESAME)
    answers = [
        httpx.get(f"{page.url}/api/snapshot", auth=auth).status_code
        for auth in (None, httpx.BasicAuth("me", "wrong"), httpx.BasicAuth("me", SESAME))
    ]
    page.stop()

    assert (refused.returncode, "LIVE_TOKEN" in refused.stderr) == (2, True)
    assert answers == [401, 401, 200]


@needs_browser
def test_the_page_shows_the_numbers_and_hostile_values_stay_text(
    stack: Stack, live: Live, tmp_path: Path
) -> None:
    """In a real browser: SQL's total is on the page, markup in a value is shown as its characters."""
    post(stack, event("AppOpened", event_type=HOSTILE), event("AppOpened", app_id=HOSTILE, device_id=HOSTILE))
    total = int(sql(stack, "SELECT count() FROM tapcart.events"))
    with chromium.browser(tmp_path) as page:
        page.open(live.url)
        page.wait(f"document.getElementById('total').textContent === '{total:,}'")
        page.wait("document.body.innerText.includes('<img src=x onerror=')")

        assert page.evaluate("document.title") == "Tapline live"
        assert page.evaluate("document.querySelectorAll('main img, main script, main iframe').length") == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@needs_browser
def test_the_page_says_what_is_away_and_recovers(stack: Stack, live: Live, tmp_path: Path) -> None:
    """First ClickHouse, then the live process itself; both times without a reload."""
    notices = "document.getElementById('notices').innerText"
    connection = "document.body.dataset.connection"
    with chromium.browser(tmp_path) as page:
        page.open(live.url, width=390)
        page.wait(f"{connection} === 'live'")
        with hanging(stack, "clickhouse"):
            page.wait(f"{notices}.includes('ClickHouse: does not answer')")
        page.wait(f"{notices} === ''")
        live.process.kill()
        live.process.wait(10)
        page.wait(f"{connection} === 'lost' && {notices}.includes('Disconnected')")
        live.start()
        page.wait(f"{connection} === 'live' && {notices} === ''")

        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@contextmanager
def hanging(stack: Stack, name: str) -> Iterator[None]:
    """Stop a service of the stack without ending it."""
    pid = stack.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def metric(live: Live, name: str) -> float:
    """Return a metric of the live page."""
    found: Callable[[str], bool] = lambda line: line.startswith(f"{name} ")  # noqa: E731 - a type for mypy
    return float(next(filter(found, httpx.get(f"{live.url}/metrics").text.splitlines())).rsplit(" ", 1)[1])
