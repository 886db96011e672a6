"""`python -m deploy.doctor` on good and bad addresses, with real TLS and a real stack."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.support.live import sql
from tests.support.process import free_port
from tests.support.stack import ROOT, Stack
from tests.support.tls import Authority, serving
from tests.support.warehouse import catch_up
from tests.support.web import WEB


class Proxy(BaseHTTPRequestHandler):
    """A proxy before ingest that forwards requests, or does what the class's attributes say."""

    upstream: ClassVar[str] = ""
    body_bytes_max: ClassVar[int] = 1 << 30
    answer: ClassVar[tuple[int, dict[str, str], bytes] | None] = None

    def do_POST(self) -> None:
        """Answer one request."""
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.answer:
            self._say(*self.answer)
        elif len(body) > self.body_bytes_max:
            self._say(413, {}, b"<h1>Request Entity Too Large</h1>")
        else:
            answer = WEB.post(self.upstream + self.path, content=body)
            self._say(answer.status_code, {"content-type": answer.headers["content-type"]}, answer.content)

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the doctor trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def proxy(certificate: Path, stack: Stack | None, **attributes: object) -> Iterator[str]:
    """Yield the base URL of a proxy in front of the stack's ingest."""
    upstream = stack.ingest_url.partition("/tapcart_webhooks")[0] if stack else ""
    handler = type("Handler", (Proxy,), {"upstream": upstream, **attributes})
    with serving(certificate, handler) as server:
        yield f"https://localhost:{server.port}"


def doctor(authority: Authority, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Return exit status and output, which never has a traceback or a token."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.doctor", *arguments],
        cwd=ROOT,
        env={"PATH": "", **(env or {}), "SSL_CERT_FILE": str(authority.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def line(said: str, check: str) -> str:
    """Return the finding of a check, with its advice."""
    lines = said.splitlines()
    (at,) = (index for index, text in enumerate(lines) if text[8:].startswith(check))
    follows = lines[at + 1] if "->" in lines[at + 1] else ""
    return lines[at] + follows


def token(stack: Stack) -> str:
    """Return the path of the stack's webhook."""
    return stack.ingest_url[stack.ingest_url.index("/tapcart_webhooks/") :]


def shown(stack: Stack) -> list[str]:
    """Return ingest's metrics."""
    return WEB.get(f"{stack.admin_url}/metrics").text.splitlines()


def metric(stack: Stack, name: str) -> float:
    """Return one of them."""
    (found,) = (text for text in shown(stack) if text.startswith(f"{name} "))
    return float(found.split()[1])


def test_a_sound_address_is_praised_and_no_count_has_the_probes(stack: Stack, authority: Authority) -> None:
    """They arrive in ClickHouse; no view and no metric of events counts them, and reconcile passes."""
    counts = "SELECT (SELECT count() FROM tapcart.events), (SELECT count() FROM tapcart.quarantine)"
    catch_up(stack.kafka)
    events = [text for text in shown(stack) if "events_total" in text]
    before, probes = sql(stack, counts), metric(stack, "tapline_ingest_probes_total")
    with proxy(authority.issue(), stack) as base:
        status, said = doctor(authority, base + token(stack), env=stack.env)
    metrics = shown(stack)
    reconcile = subprocess.run(
        ["make", "reconcile"],
        cwd=ROOT,
        env=stack.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert status == 0, said
    assert "Tapcart can deliver." in said
    assert stack.ingest_url.rpartition("/")[2] not in said
    assert "all 4 probes arrived" in line(said, "ClickHouse")
    assert "1,000,000 bytes get through" in line(said, "body limit")
    assert sql(stack, counts) == before
    assert (
        sql(stack, "SELECT max(length(body)) FROM tapcart_raw.quarantine WHERE reason = 'probe'") == "1024\n"
    )
    assert metric(stack, "tapline_ingest_probes_total") == probes + 4
    assert not [text for text in metrics if "quarantined" in text and "probe" in text]
    assert [text for text in metrics if "events_total" in text] == events
    assert reconcile.returncode == 0, reconcile.stdout


def test_topics_that_may_lose_events_are_told(stack: Stack, authority: Authority) -> None:
    """A warning, because Tapcart can deliver; topics created by a stack are fine."""

    def told(port: int | str) -> str:
        env = stack.env | {"INGEST_ADMIN_PORT": str(port)}
        return line(doctor(authority, stack.ingest_url, "--no-clickhouse", env=env)[1], "topics")

    with ingest_with(b'{"topic": "tapcart.events", "words": "has one replica"}') as port:
        ill = told(port)

    assert told(stack.env["INGEST_ADMIN_PORT"]).startswith("ok")
    assert ill.startswith("warning")
    assert "tapcart.events has one replica" in ill
    assert told(free_port()).startswith("skipped")


@contextmanager
def ingest_with(problem: bytes) -> Iterator[int]:
    """Yield the admin port of an ingest that found a problem of a topic."""
    body = (
        b'{"ready": true, "kafka": "direct", "spool_records": 0, "spool_bytes": 0, "spool_bytes_max": 1,'
        b' "spool_oldest_ms": null, "topic_problems": [' + problem + b"]}"
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_plain_http_is_a_fault(stack: Stack, authority: Authority) -> None:
    """All else is looked at nevertheless."""
    status, said = doctor(authority, stack.ingest_url, env=stack.env)

    assert status == 1
    assert "FAULT" in line(said, "URL")
    assert "1 fault(s)" in said
    assert "probes arrived" in line(said, "ClickHouse")


def test_a_wrong_token_is_told(stack: Stack, authority: Authority) -> None:
    """With where to find the right one."""
    with proxy(authority.issue(), stack) as base:
        status, said = doctor(authority, f"{base}/tapcart_webhooks/wrong", env=stack.env)

    assert status == 1
    assert "401" in line(said, "answer")
    assert "make url" in line(said, "answer")


def test_a_body_limit_that_is_too_small_is_told(stack: Stack, authority: Authority) -> None:
    """As the proxy's own, for ingest's limit is larger."""
    with proxy(authority.issue(), stack, body_bytes_max=100_000) as base:
        status, said = doctor(authority, base + token(stack), env=stack.env)

    assert status == 1
    assert "answered 413" in line(said, "body limit")
    assert "the proxy's limit" in line(said, "body limit")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ((308, {"location": "https://elsewhere/secret"}, b""), "a redirect to https://elsewhere/<token>"),
        ((200, {"content-type": "text/html"}, b"<h1>Welcome</h1>"), "not from Tapline's ingest"),
        ((404, {}, b""), "must pass on the path"),
        ((502, {}, b""), "cannot reach ingest"),
    ],
)
def test_an_answer_that_is_not_of_ingest_is_told(
    authority: Authority, answer: tuple[int, dict[str, str], bytes], word: str
) -> None:
    """With what the proxy must do."""
    with proxy(authority.issue(), None, answer=answer) as base:
        status, said = doctor(authority, f"{base}/tapcart_webhooks/secret", "--no-clickhouse")

    assert status == 1
    assert word in line(said, "answer")


@pytest.mark.parametrize(
    ("days", "host", "word"),
    [(-3, "localhost", "expired"), (90, "elsewhere.example", "mismatch")],
)
def test_a_certificate_that_is_refused_is_told(authority: Authority, days: int, host: str, word: str) -> None:
    """And nothing is posted."""
    with proxy(authority.issue(days, host), None) as base:
        status, said = doctor(authority, f"{base}/tapcart_webhooks/secret", "--no-clickhouse")

    assert status == 1
    assert word in line(said, "certificate")
    assert not [one for one in said.splitlines() if " answer " in one and "Kafka" not in one]


def test_a_certificate_of_nobody_known_is_told(authority: Authority, tmp_path: Path) -> None:
    """Tapcart would refuse it too."""
    with proxy(Authority(tmp_path).issue(), None) as base:
        status, said = doctor(authority, f"{base}/tapcart_webhooks/secret", "--no-clickhouse")

    assert status == 1
    assert "fullchain.pem" in line(said, "certificate")


def test_a_certificate_near_its_end_is_a_warning(stack: Stack, authority: Authority) -> None:
    """It still works."""
    with proxy(authority.issue(5), stack) as base:
        status, said = doctor(authority, base + token(stack), "--no-clickhouse")

    assert status == 0, said
    assert "warning" in line(said, "certificate")
    assert "5 days" in line(said, "certificate")


def test_a_closed_port_is_told(authority: Authority) -> None:
    """With every address of the name."""
    status, said = doctor(authority, f"https://localhost:{free_port()}/tapcart_webhooks/secret")

    assert status == 1
    assert "FAULT" in said
    assert "Connection refused" in said


def test_a_name_that_does_not_exist_is_told(authority: Authority) -> None:
    """The top-level domain .invalid never exists."""
    status, said = doctor(authority, "https://tapline.invalid/tapcart_webhooks/secret")

    assert status == 1
    assert "has no address" in line(said, "DNS")


def test_a_clickhouse_that_does_not_answer_is_told(stack: Stack, authority: Authority) -> None:
    """The probes are safe in Kafka; whether they arrive is unknown."""
    env = stack.env | {"CLICKHOUSE_URL": f"http://someone:secret@127.0.0.1:{free_port()}"}
    with proxy(authority.issue(), stack) as base:
        status, said = doctor(authority, base + token(stack), env=env)

    assert status == 1
    assert "does not answer" in line(said, "ClickHouse")
    assert "secret" not in line(said, "ClickHouse")


def test_a_host_alone_gets_the_stacks_token(authority: Authority, stack: Stack) -> None:
    """So the token is on no command line, which other users of the machine can read."""
    with proxy(authority.issue(), stack) as base:
        status, said = doctor(authority, base, env=stack.env)

    assert status == 0, said
    assert stack.ingest_url.rpartition("/")[2] not in said


@pytest.mark.parametrize("url", ["", "ftp://host/x", "https://", "https://[", "https://host:99999/x"])
def test_what_is_no_url_is_refused(authority: Authority, url: str) -> None:
    """With exit status 2."""
    status, said = doctor(authority, url)

    assert status == 2
    assert said.startswith("doctor: ")
