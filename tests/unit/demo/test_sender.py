"""How the demo sends: like Tapcart, to a server with scripted answers."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from time import monotonic

import pytest

from deploy.demo import sender
from deploy.demo.generator import Post
from deploy.demo.sender import NO_ANSWER, Pace, send


class Script:
    """Body -> a sequence of statuses, of which the last repeats."""

    def __init__(self) -> None:
        self.answers: dict[bytes, list[int]] = {}
        self.requests: Counter[bytes] = Counter()
        self.lock = Lock()

    def next(self, body: bytes) -> int:
        """Return the status for this request."""
        with self.lock:
            answers = self.answers.get(body, [200])
            status = answers[min(self.requests[body], len(answers) - 1)]
            self.requests[body] += 1
            return status


@pytest.fixture
def script() -> Script:
    """The server's script."""
    return Script()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    """A server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.send_response(script.next(self.rfile.read(int(self.headers["content-length"]))))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/tapcart_webhooks/t"
    server.shutdown()
    server.server_close()


def post(body: bytes, status: int = 200, event_id: str = "e") -> Post:
    """Return a post of an app."""
    return Post(0, body, status, "event", "demo-a", "AppOpened", event_id, 0)


def test_an_error_is_sent_again_until_it_is_answered_200(url: str, script: Script) -> None:
    """500 twice, then 200: one acknowledged event, two retries."""
    script.answers[b"a"] = [500, 500, 200]
    tally = asyncio.run(send(url, [post(b"a", event_id="1"), post(b"b", event_id="2")], Pace()))

    assert tally.statuses == {200: 2}
    assert tally.retries == 2
    assert tally.acknowledged == {"demo-a": {"1", "2"}}


@pytest.mark.parametrize("status", [401, 403, 413, 422, 429, 503])
def test_other_refusals_are_not_sent_again(url: str, script: Script, status: int) -> None:
    """Tapcart documents only 400 and 500; others are counted by status."""
    script.answers[b"a"] = [status]
    tally = asyncio.run(send(url, [post(b"a")], Pace()))

    assert script.requests[b"a"] == 1
    assert tally.statuses == {status: 1}
    assert tally.unexpected == {(200, status): 1}
    assert tally.acknowledged == {}


def test_a_400_is_sent_again_then_dropped(url: str, script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that stays broken is dropped, and counts once."""

    class Patience(dict[int, float]):
        """Ends with the third answer, after any time."""

        def get(self, *_: object) -> float:
            """Return the time limit for retries of a post, in seconds."""
            return 3600.0 if script.requests[b"a"] < 3 else 0.0

    monkeypatch.setattr(sender, "_PATIENCE_SECONDS", Patience())
    script.answers[b"a"] = [400]
    tally = asyncio.run(send(url, [post(b"a", status=400, event_id="")], Pace()))

    assert tally.statuses == {400: 1}
    assert script.requests[b"a"] == tally.retries + 1 == 3
    assert not tally.unexpected


def test_nobody_there_is_told_as_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection is counted as such, not raised."""
    monkeypatch.setitem(sender._PATIENCE_SECONDS, NO_ANSWER, 0.1)
    tally = asyncio.run(send("http://127.0.0.1:1/t", [post(b"a")], Pace()))

    assert tally.statuses == {NO_ANSWER: 1}


def test_the_rate_is_kept(url: str) -> None:
    """30 posts at 100 per second take about 0.3 seconds, not less."""
    started = monotonic()
    tally = asyncio.run(send(url, [post(b"%d" % n) for n in range(30)], Pace(per_second=100)))

    assert monotonic() - started >= 0.29
    assert tally.sent == 30
