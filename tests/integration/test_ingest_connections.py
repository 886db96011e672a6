"""Attacks on ingest's connections with raw sockets: healthy senders are unaffected."""

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.process import SAMPLES, TOKEN, Ingest
from tests.support.stack import Stack
from tests.support.waiting import eventually, patience

pytestmark = pytest.mark.slow

BODY = (SAMPLES / "AppOpened.json").read_bytes()
MEBIBYTE = 1024 * 1024
HEAD = f"POST /tapcart_webhooks/{TOKEN} HTTP/1.1\r\nhost: x\r\n".encode()
POST = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture
def small(services: Stack, tmp_path: Path) -> Iterator[Ingest]:
    """An ingest that may open 200 files and closes silent connections soon."""
    ingest = Ingest(services.kafka, tmp_path, {"INGEST_REQUEST_SECONDS_MAX": "2"})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ingest.start(wait=False)
    resource.prlimit(ingest.process.pid, resource.RLIMIT_NOFILE, (200, 200))
    assert eventually(lambda: ingest.admin.get("/readyz").status_code == 200)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
    assert eventually(ingest.direct)
    yield ingest
    assert ingest.stop() == 0
    assert "Traceback" not in ingest.log.read_text()


def connect(ingest: Ingest) -> socket.socket:
    """Return a connection."""
    return socket.create_connection(("127.0.0.1", ingest.port), 10)


def send(connection: socket.socket, *pieces: bytes) -> None:
    """Send pieces as long as the server accepts them."""
    with contextlib.suppress(OSError):
        for piece in pieces:
            connection.sendall(piece)


def all_of(connection: socket.socket) -> bytes:
    """Return everything received until the server closes."""
    received = b""
    with contextlib.suppress(OSError):
        while piece := connection.recv(65536):
            received += piece
    return received


def test_silent_connections_starve_nobody(small: Ingest) -> None:
    """Far more than the limit on open files; each is closed in time, and other posts are answered."""
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            for _ in range(40):
                connection = stack.enter_context(connect(small))
                send(connection, HEAD)
            assert small.post(BODY).status_code == 200
        connections_max = small.metric("tapline_ingest_connections_max")
        assert small.metric("tapline_ingest_connections") <= connections_max < 200
        assert small.metric('tapline_ingest_connections_closed_total{reason="evicted"}') > 200
        assert small.metric("tapline_ingest_open_files_max") == 200
        assert small.metric("tapline_ingest_open_files") < 200

        assert eventually(lambda: small.metric("tapline_ingest_connections") <= 1)
        assert small.metric('tapline_ingest_requests_total{status="400"}') > 50
    assert "few_open_files" in small.log.read_text()


def test_header_lines_without_end_cost_little(small: Ingest) -> None:
    """431, and no memory, in many lines or in one; other posts are answered."""
    process = psutil.Process(small.process.pid)
    assert small.post(BODY).status_code == 200
    before = process.memory_info().rss
    line, began = b"a: b\r\n", time.monotonic()
    with contextlib.ExitStack() as stack:
        for piece in (line * 10_000, b"x" * 65_536, b"\r\n" * 30_000):
            for head in (HEAD, HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n"):
                connection = stack.enter_context(connect(small))
                send(connection, head, *[piece] * 100)
                answered = all_of(connection)
                assert answered.startswith(b"HTTP/1.1 4") or piece.startswith(b"\r\n")
        assert small.post(BODY).status_code == 200

    assert small.metric('tapline_ingest_requests_total{status="431"}') >= 4
    assert process.memory_info().rss - before < 30 * MEBIBYTE
    assert time.monotonic() - began < 60 * patience()


def test_a_post_before_garbage_is_answered(small: Ingest) -> None:
    """Once, with its result; the garbage is counted, and logged at a limited rate."""
    for _ in range(30):
        with connect(small) as connection:
            send(connection, POST + b"\x00garbage\r\n\r\n")
            answered = all_of(connection)
        assert answered.startswith(b"HTTP/1.1 200")
        assert answered.count(b"HTTP/1.1") == 1

    assert small.metric('tapline_ingest_requests_total{status="400"}') == 30
    assert small.log.read_text().count("malformed_request") == 10


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_post_that_asks_for_another_protocol_is_kept(small: Ingest, protocol: str) -> None:
    """As Java's client and `curl --http2` send it."""
    asks = f"connection: Upgrade, HTTP2-Settings\r\nupgrade: {protocol}\r\nhttp2-settings: AAMAAABk\r\n"
    request = POST.replace(b"host: x\r\n", asks.encode())
    with connect(small) as connection:
        for _ in range(2):
            send(connection, request)
        send(connection, request.replace(b"Upgrade", b"close"))
        assert all_of(connection).count(b'{"kept":"kafka"}') == 3

    assert small.metric("tapline_ingest_events_total") == 3
