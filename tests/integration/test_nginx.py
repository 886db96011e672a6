"""deploy/edge/nginx.conf: nginx with it, a certificate, and two real ingests behind it, without Kafka."""

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.process import SAMPLES, TOKEN, Ingest, free_port
from tests.support.stack import ROOT
from tests.support.tls import Authority
from tests.support.waiting import eventually

_EVENT = (SAMPLES / "AppOpened.json").read_bytes()
_PATH = f"/tapcart_webhooks/{TOKEN}"
_MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/main.log;
events {{ worker_connections 256; }}
http {{
{temporary}
include {folder}/site.conf;
}}
"""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here (Debian: apt install nginx)"),
]


@dataclass
class Site:
    """A running nginx and its ingests."""

    folder: Path
    url: str
    trusted: ssl.SSLContext
    ingests: list[Ingest]

    def client(self, **options: bool) -> httpx.Client:
        """Return a client that trusts the certificate."""
        return httpx.Client(base_url=self.url, verify=self.trusted, timeout=30, trust_env=False, **options)  # type: ignore[arg-type]

    def logs(self) -> str:
        """Return everything that nginx wrote."""
        return "".join(path.read_text() for path in self.folder.glob("*.log") if "ingest" not in path.name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An nginx that answers."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    pem, ingests = Authority(folder), []
    for name in ("one", "two"):
        (folder / name).mkdir()
        env = {"INGEST_LINGER_SECONDS": "3"}
        ingests.append(Ingest(f"127.0.0.1:{free_port()}", folder / name, env).start())
    _write(folder, port, pem.issue(), ingests)
    nginx = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    made = Site(
        folder, f"https://localhost:{port}", ssl.create_default_context(cafile=str(pem.path)), ingests
    )
    try:
        with made.client() as client:
            eventually(lambda: client.get("/").status_code == 404, what=made.logs())
        yield made
    finally:
        nginx.terminate()
        nginx.wait()
        for ingest in ingests:
            ingest.stop()


def _write(folder: Path, port: int, pem: Path, ingests: list[Ingest]) -> None:
    """Write the project's file with the test's names, and what nginx needs around it."""
    text = (ROOT / "deploy/edge/nginx.conf").read_text()
    live = "/etc/letsencrypt/live/events.example.com"
    for ours, here in (
        (f"{live}/fullchain.pem", str(pem)),
        (f"{live}/privkey.pem", str(pem)),
        ("listen 443 ", f"listen 127.0.0.1:{port} "),
        ("127.0.0.1:8080", f"127.0.0.1:{ingests[0].port}"),
        ("127.0.0.1:8090", f"127.0.0.1:{ingests[1].port}"),
        ("events.example.com", "localhost"),
        ("/var/log/nginx/", f"{folder}/"),
    ):
        assert ours in text
        text = text.replace(ours, here)
    (folder / "site.conf").write_text(text)
    temporary = "\n".join(f"{name}_temp_path {folder}/{name};" for name in _TEMPORARY)
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, temporary=temporary))


def test_only_the_webhook_is_passed_on(site: Site) -> None:
    """By HTTP/1.1, with its limit of size; ingest sees the sender's address."""
    with site.client() as client:
        assert client.post(_PATH, content=_EVENT).status_code == 200
        claims = {"X-Forwarded-For": "203.0.113.9"}
        assert client.post(_PATH, content=_EVENT, headers=claims).status_code == 200
        for path in ("/", "/metrics", "/healthz", "/registry/subjects", f"{_PATH}/more"):
            assert client.get(path).status_code == 404
        assert client.post(_PATH, content=bytes(1024 * 1024 + 1)).status_code == 413
        assert client.post(_PATH, content=bytes(1024 * 1024)).status_code == 400


def test_a_restart_behind_nginx_refuses_no_post(site: Site) -> None:
    """While one ingest after the other restarts, the other one takes the posts."""
    done, statuses = threading.Event(), []

    def post() -> None:
        with site.client() as client:
            while not done.is_set():
                statuses.append(client.post(_PATH, content=_EVENT).status_code)

    senders = [threading.Thread(target=post) for _ in range(4)]
    for sender in senders:
        sender.start()
    for ingest in site.ingests:
        assert ingest.stop() == 0
        ingest.start()
    done.set()
    for sender in senders:
        sender.join()

    assert len(statuses) > 50
    assert {*statuses} == {200}


def test_ingests_that_stay_away_are_a_500_and_no_log_has_the_token(site: Site) -> None:
    """Which Tapcart sends again."""
    for ingest in site.ingests:
        ingest.stop()
    with site.client() as client:
        answer = client.post(_PATH, content=_EVENT, headers={"Referer": f"https://x/{TOKEN}"})
        for ingest in site.ingests:
            ingest.start()
        eventually(lambda: client.post(_PATH, content=_EVENT).status_code == 200)

    assert (answer.status_code, answer.headers["retry-after"]) == (500, "1")
    assert answer.json()["status"] == 500
    eventually(lambda: "/tapcart_webhooks/<redacted> 500" in site.logs())
    assert TOKEN not in site.logs()
