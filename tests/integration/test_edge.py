"""`make serve`: Caddy with our Caddyfile, a certificate by ACME, and a real ingest behind it."""

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.faults.harness.ledger import entries
from tests.faults.harness.sender import Arguments
from tests.faults.harness.sender import command as sender_command
from tests.support.acme import acme
from tests.support.edge import HOST, Caddy
from tests.support.process import SAMPLES, TOKEN, Child, Ingest, free_port
from tests.support.stack import ROOT
from tests.support.waiting import eventually

_VALID_SECONDS = 30
_RATE = 200.0
_HAND_OVERS = 2
_EVENT = (SAMPLES / "AppOpened.json").read_bytes()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("pebble"), reason="no pebble here (Debian: apt install pebble)"),
]


@dataclass
class Edge:
    """A running Caddy, and ingest behind it, without Kafka."""

    caddy: Caddy
    port: int
    root: ssl.SSLContext
    log: Path
    ingest: Ingest

    def certificate(self) -> str:
        """Return the serial number of the certificate that is served."""
        with self._connection() as connection:
            found = connection.getpeercert()
        assert found
        return str(found["serialNumber"])

    def ask(self, head: str, body: bytes = b"", announced: int = 0) -> tuple[int, str]:
        """Return the status and the text of one HTTP/1.1 request; `announced`: bytes of a body to come."""
        with self._connection() as connection:
            length = announced or len(body)
            lines = f"{head}\r\nHost: {HOST}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            connection.sendall(lines.encode() + body)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return int(answer.split()[1]), answer.decode()

    def post(self) -> int:
        """Return the status of an event."""
        return self.ask(f"POST /tapcart_webhooks/{TOKEN} HTTP/1.1", _EVENT)[0]

    @contextmanager
    def _connection(self) -> Iterator[ssl.SSLSocket]:
        plain = socket.create_connection(("127.0.0.1", self.port), 30)
        with plain, self.root.wrap_socket(plain, server_hostname=HOST) as connection:
            yield connection


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """A Caddy that has its first certificate."""
    folder = tmp_path_factory.mktemp("edge")
    ingest = Ingest(f"127.0.0.1:{free_port()}", folder, {"INGEST_LINGER_SECONDS": "0"}).start()
    settings = {"TAPLINE_RENEW_INTERVAL": "1s", "TAPLINE_EDGE_WAIT": "6s", "TAPLINE_EDGE_LEAVE": "5s"}
    with acme(folder, _VALID_SECONDS) as authority:
        caddy = Caddy(folder, authority, [ingest.port], **settings)
        try:
            made = Edge(caddy.start(), caddy.port, caddy.trusted, caddy.log, ingest)
            eventually(lambda: bool(made.certificate()), what="a certificate")
            yield made
        finally:
            caddy.stop()
            ingest.stop()


def test_an_event_arrives_by_https(edge: Edge) -> None:
    """And ingest sees the sender's address, not what the sender claims."""
    assert edge.post() == 200
    head = f"POST /tapcart_webhooks/{TOKEN} HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9"
    assert edge.ask(head, _EVENT)[0] == 200


def test_nothing_else_is_passed_on(edge: Edge) -> None:
    """Neither other paths nor the admin port's."""
    for path in ("/", "/metrics", "/healthz", "/registry/subjects", f"/tapcart_webhooks/{TOKEN}/more"):
        assert edge.ask(f"GET {path} HTTP/1.1")[0] == 404


def test_a_body_over_the_limit_is_refused(edge: Edge) -> None:
    """With 413, before it is read."""
    head = f"POST /tapcart_webhooks/{TOKEN} HTTP/1.1"

    assert edge.ask(head, announced=1024 * 1024 + 1)[0] == 413
    assert edge.ask(head, bytes(1024 * 1024))[0] == 400


def test_posts_wait_while_ingest_restarts(edge: Edge) -> None:
    """Although nobody holds its port."""
    assert edge.ingest.stop() == 0
    statuses: list[int] = []
    posts = [threading.Thread(target=lambda: statuses.append(edge.post())) for _ in range(5)]
    for post in posts:
        post.start()
    edge.ingest.start()
    for post in posts:
        post.join()

    assert statuses == [200] * 5


def test_an_ingest_that_stays_away_is_a_500_and_no_log_has_the_token(edge: Edge) -> None:
    """Which Tapcart sends again; the log names the path without its secret."""
    edge.ingest.stop()
    status, answer = edge.ask(f"POST /tapcart_webhooks/{TOKEN} HTTP/1.1\r\nReferer: /{TOKEN}", _EVENT)
    edge.ingest.start()

    assert status == 500
    assert "retry-after: 1" in answer.lower()
    log = edge.log.read_text()
    assert "http.log.access" in log
    assert "tapcart_webhooks/<redacted>" in log.replace("\\u003c", "<").replace("\\u003e", ">")
    assert TOKEN not in log


def test_the_next_caddy_takes_over_without_a_refusal(edge: Edge, tmp_path: Path) -> None:
    """From a sender that never retries, on connections that stay open."""
    ledger = tmp_path / "ledger"
    arguments = Arguments(
        url=f"https://{HOST}:{edge.port}/tapcart_webhooks/{TOKEN}",
        seed=1,
        ledger=str(ledger),
        rate=_RATE,
        connections=16,
        once=True,
        authority=str(edge.caddy.root),
    )
    with Child[bytes](sender_command(arguments), cwd=ROOT, stdout=subprocess.DEVNULL) as sender:
        for _ in range(_HAND_OVERS):
            size = ledger.stat().st_size if ledger.exists() else 0
            eventually(partial(_has_grown, ledger, size))
            assert edge.caddy.hand_over() == 0
        sender.send_signal(signal.SIGTERM)
        assert sender.wait(60) == 0
    statuses = Counter(entry.status for entry in entries(ledger))

    assert {*statuses} == {200}, statuses


def _has_grown(ledger: Path, size: int) -> bool:
    return ledger.stat().st_size > size + 10_000  # hundreds of posts


def test_the_certificate_is_renewed(edge: Edge) -> None:
    """By Caddy itself, before it expires."""
    first = edge.certificate()
    eventually(lambda: edge.certificate() != first, 2 * _VALID_SECONDS, "another certificate")

    assert edge.post() == 200


@pytest.mark.parametrize("host", ["localhost", "http://events.example.com", "a b.c", "{$HOME}.example.com"])
def test_a_wrong_name_is_a_sentence(host: str) -> None:
    """With status 2."""
    command = [sys.executable, "-m", "deploy.edge", host]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)

    assert (said.returncode, said.stderr.count("\n")) == (2, 1)
