"""`make serve`: Caddy with our Caddyfile, a certificate by ACME, and a real ingest behind it."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.acme import acme
from tests.support.process import SAMPLES, TOKEN, Child, Ingest, free_port
from tests.support.stack import ROOT
from tests.support.waiting import eventually

HOST = "events.tapline.test"
_VALID_SECONDS = 30
_EVENT = (SAMPLES / "AppOpened.json").read_bytes()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("pebble"), reason="no pebble here (Debian: apt install pebble)"),
]


@dataclass
class Edge:
    """A running Caddy, and ingest behind it, without Kafka."""

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
    with acme(folder, _VALID_SECONDS) as authority, (folder / "caddy.log").open("wb") as log:
        env = {
            "DATA_DIR": str(folder),
            "SSL_CERT_FILE": str(authority.authority),
            "TAPLINE_ACME_URL": authority.url,
            "TAPLINE_RENEW_INTERVAL": "1s",
            "TAPLINE_EDGE_WAIT": "6s",
            "TAPLINE_HTTP_PORT": str(authority.http_port),
            "TAPLINE_HTTPS_PORT": str(authority.https_port),
            "INGEST_PORT": str(ingest.port),
        }
        command = [sys.executable, "-m", "deploy.edge", HOST]
        with Child(command, cwd=ROOT, env=os.environ | env, stdout=log, stderr=log) as caddy:
            try:
                root = ssl.create_default_context(cadata=authority.root())
                made = Edge(authority.https_port, root, folder / "caddy.log", ingest)
                eventually(lambda: bool(made.certificate()), what="a certificate")
                yield made
            finally:
                caddy.terminate()
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
