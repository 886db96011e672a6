"""A live page started like an operator does, events to show on it, and the matching SQL."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx

from deploy.demo.samples import FOLDER
from tests.support.process import free_port
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually, patience
from tests.support.web import WEB

_DAY_SECONDS, _TEST_SECONDS = 86_400, 60


class Live:
    """`python -m consumers.live` next to the stack's own, with short intervals."""

    def __init__(self, stack: Stack, **env: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._env = os.environ | {
            "LIVE_PORT": str(self.port),
            "LIVE_REFRESH_SECONDS": "0.2",
            "LIVE_QUERY_SECONDS_MAX": "1",
            "LIVE_QUERY_SHARE_MAX": "1",
            "LIVE_INGEST_URL": stack.admin_url,
            "INGEST_URL": stack.ingest_url.partition("/tapcart_webhooks/")[0],
            "CLICKHOUSE_URL": stack.clickhouse_url,
            "KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
            "DATA_DIR": str(stack.data_dir),
            **env,
        }
        self.start()

    def start(self) -> None:
        """Start it, on the same port each time."""
        self.process = subprocess.Popen([sys.executable, "-m", "consumers.live"], cwd=ROOT, env=self._env)
        ready = {"ready": True, "away": {}}
        assert eventually(lambda: WEB.get(f"{self.url}/readyz").json() == ready), self.snapshot()

    def snapshot(self) -> dict[str, Any]:
        """Return the current state of the page."""
        answer: dict[str, Any] = WEB.get(f"{self.url}/api/snapshot").raise_for_status().json()
        return answer

    def health(self, name: str) -> str:
        """Return the page's health of a component."""
        (found,) = (one["health"] for one in self.snapshot()["components"] if one["name"] == name)
        return str(found)

    def stop(self) -> int:
        """Stop it in order; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10 * patience())


def within_a_day() -> None:
    """Wait for midnight, UTC, if it is so near that the page's day could end during a test."""
    eventually(
        lambda: time.time() % _DAY_SECONDS < _DAY_SECONDS - _TEST_SECONDS, _TEST_SECONDS + 5, "midnight"
    )


def event(name: str, **changes: Any) -> bytes:
    """Return a sample with its own id."""
    sample: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return json.dumps(sample | {"event_id": str(uuid4())} | changes).encode()


def post(stack: Stack, *bodies: bytes) -> None:
    """Send events, and wait until SQL finds them all."""
    for body in bodies:
        assert WEB.post(stack.ingest_url, content=body).status_code == 200
    ids = {json.loads(body)["event_id"] for body in bodies}
    listed = ", ".join(f"'{one}'" for one in ids)
    found = f"SELECT uniqExact(event_id) FROM tapcart.events WHERE event_id IN ({listed})"
    eventually(lambda: int(sql(stack, found)) == len(ids))


def sql(stack: Stack, query: str) -> str:
    """Return ClickHouse's answer."""
    return WEB.post(stack.clickhouse_url, content=query.encode(), timeout=20).raise_for_status().text


def lines(stream: httpx.Response) -> Iterator[str]:
    """Yield the lines of an event stream. httpx's own `iter_lines` also splits at U+2028 inside of JSON."""
    rest = b""
    for received in stream.iter_bytes():
        *whole, rest = (rest + received).split(b"\n")
        yield from (line.decode() for line in whole)


def settled(live: Live) -> dict[str, Any]:
    """Return a state polled after everything posted before this call had been loaded."""
    posted_ms = time.time() * 1000

    def loaded() -> bool:
        lag = live.snapshot()["lag"]
        return bool(lag["as_of_ms"] > posted_ms and lag["records"] == 0)

    def seen() -> bool:
        state = live.snapshot()
        looked = (state["window"]["end_ms"], state["total"]["as_of_ms"], state["quarantine"]["as_of_ms"])
        return bool(min(looked) > loaded_ms and (state["balance"] or {}).get("settled_ms", 0) > posted_ms)

    assert eventually(loaded)
    loaded_ms = time.time() * 1000
    assert eventually(seen)
    return live.snapshot()


@contextmanager
def hanging(stack: Stack, name: str) -> Iterator[None]:
    """Suspend a service of the stack."""
    pid = stack.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
