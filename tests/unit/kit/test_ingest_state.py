"""The state of ingest: from all listed processes, or not at all."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from consumers.kit import ingest_state
from consumers.kit.ingest_state import WAYS, IngestAwayError
from consumers.live.ingest import IngestSource
from consumers.live.poller import SourceAwayError
from ingest.delivery.state import DeliveryState

_STATE = {
    "ready": True,
    "kafka": "direct",
    "spool_records": 3,
    "spool_bytes": 100,
    "spool_bytes_max": 1000,
    "spool_oldest_ms": 5_000,
    "spool_unavailable": None,
    "topic_problems": [{"topic": "tapcart.events", "problem": "compaction", "words": "is compacted"}],
}


@contextmanager
def process(status: int = 200, host: str = "127.0.0.1", port: int = 0, **state: Any) -> Iterator[int]:
    """Yield the port of a process with this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(_STATE | state).encode() if status else b"<h1>It works!</h1>"
            self.send_response(status or 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_process_is_asked() -> None:
    """Including one that accepts no events: its spool counts."""
    with process() as first, process(503, ready=False, spool_oldest_ms=2_000) as second:
        found = ingest_state.ask([f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"])

    assert [one.spool_oldest_ms for one in found] == [5_000, 2_000]


def test_a_name_stands_for_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like that of a headless service."""
    with ExitStack() as running:
        port = running.enter_context(process(host="127.0.0.1"))
        running.enter_context(process(host="127.0.0.2", port=port, spool_oldest_ms=1))
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", port)) for n in (1, 2, 2)]
        known = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *a, **k: found if host == "ingest" else known(host, *a, **k)
        )
        answers = ingest_state.ask([f"http://ingest:{port}"])

    assert [one.spool_oldest_ms for one in answers] == [5_000, 1]


@pytest.mark.parametrize("second", ["nobody", "stranger"])
def test_one_that_does_not_answer_is_no_answer(second: str) -> None:
    """It may hold events that no other process has."""
    with process() as first, process(0) as stranger:
        port = stranger if second == "stranger" else 1
        with pytest.raises(IngestAwayError):
            ingest_state.ask([f"http://127.0.0.1:{first}", f"http://127.0.0.1:{port}"])


def test_the_page_shows_several_as_one() -> None:
    """The sum of the spools, the oldest record of all, each topic problem once."""
    with process() as first, process(kafka="away", state="spooling", spool_oldest_ms=2_000) as second:
        urls = [f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"]
        seen = IngestSource(urls).poll(9_000)

    assert (seen.spool.records, seen.spool.bytes, seen.spool.bytes_max) == (6, 200, 2000)
    assert seen.spool.oldest_ms == 2_000
    assert seen.topic_problems == ("tapcart.events is compacted",)
    assert seen.detail.startswith(
        "2 processes accept events to Kafka or to its disk, because Kafka does not acknowledge; "
    )


@pytest.mark.parametrize("state", DeliveryState)
def test_every_state_of_ingest_has_words(state: DeliveryState) -> None:
    """On the page and in `make status`; only spooling blames Kafka."""
    with process(kafka="away", state=state) as port:
        detail = IngestSource([f"http://127.0.0.1:{port}"]).poll(9_000).detail

    assert detail.startswith(f"accepts events {WAYS[state]}; ")
    assert ("Kafka does not" in detail) == (state is DeliveryState.SPOOLING)


def test_the_page_tells_of_one_that_takes_nothing() -> None:
    """Although it answers, and another one is healthy."""
    with process() as first, process(503, ready=False) as second:
        page = IngestSource([f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"])
        with pytest.raises(SourceAwayError, match="accepts no events"):
            page.poll(9_000)
