"""Steady traffic on a stand-in that answers every post, and shows no event in any query."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench.traffic import Traffic
from tests.bench.usage import Usage

_RATE, _SECONDS = 200, 600


class Nothing(BaseHTTPRequestHandler):
    """Answers 200 without a body."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """The address of the stand-in."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_run_ends_at_the_first_marker_that_is_too_late(url: str) -> None:
    """Ten minutes of traffic end with the first query after the marker's time; it counts as missing."""
    traffic = Traffic(f"{url}/hook", url, late_seconds_max=0.3)
    seen, _ = asyncio.run(traffic.send(_RATE, _SECONDS, lambda: Usage({}, {}, 0.0, 0.0)))

    assert seen.missing
    assert not seen.queryable
    assert len(seen.answers) < _RATE * _SECONDS / 2
