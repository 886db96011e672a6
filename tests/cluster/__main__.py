"""`make test-cluster`: deploy/cluster/compose.yaml by Docker; a broker and a replica are killed under load.

Nothing may be lost. Exit status: 0; 1 with the reason. Needs Docker with Compose, and 12 GB of memory. Never
executed where Tapline is developed: see deploy/cluster/README.md.
"""

import os
import secrets
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from deploy.security import clickhouse_users, kafka_users
from tests.support.stack import ROOT
from tests.support.waiting import eventually
from tests.support.warehouse import body

FILE = ROOT / "deploy/cluster/compose.yaml"
SERVERS = ("clickhouse-1-1", "clickhouse-1-2", "clickhouse-2-1", "clickhouse-2-2")
# The server that the balancer prefers, and one of three brokers.
KILLED = ("clickhouse-1-1", "kafka-2")
_INGESTS = (8080, 8090)
_SECONDS_MAX = 180
_EVENTS = 3_000


@dataclass
class Site:
    """What was brought up."""

    env: dict[str, str]
    app: str = field(default_factory=lambda: f"app-{uuid.uuid4()}")

    def compose(self, *arguments: str, given: str | None = None) -> str:
        """Run `docker compose` on the file; return its output."""
        line = ["docker", "compose", "-f", str(FILE), *arguments]
        done = subprocess.run(line, env=self.env, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def query(self, server: str, sql: str) -> str:
        """Return a server's answer."""
        client = ["clickhouse-client", "--password", self.env["CLICKHOUSE_PASSWORD"], "--multiquery"]
        return self.compose("exec", "--no-TTY", server, *client, given=sql).strip()

    def reconcile(self, password: str) -> str:
        """Return what reconcile says as the user `loader`; ends this process if something is missing."""
        url = f"CLICKHOUSE_URL=http://loader:{password}@balancer:8123"
        line = ("exec", "--no-TTY", "--env", url, "warehouse-2", "tapline", "reconcile", "--wait", "60")
        return self.compose(*line).splitlines()[-1]

    def post(self, port: int, events: int) -> None:
        """Post events to an ingest; each is accepted."""
        url = f"http://127.0.0.1:{port}/tapcart_webhooks/{self.env['INGEST_TOKENS']}"
        with httpx.Client(timeout=60) as client:
            for number in range(events):
                event = body(app_id=self.app, device_id=f"device-{number % 100}")
                client.post(url, content=event).raise_for_status()


def main() -> int:
    """Bring it up, break it, and compare; return the exit status."""
    with tempfile.TemporaryDirectory() as folder, _up() as site:
        users = clickhouse_users.statements(Path(folder), []) + (FILE.parent / "grants.sql").read_text()
        for server in SERVERS:
            site.query(server, users)
        senders = [threading.Thread(target=site.post, args=(port, _EVENTS)) for port in _INGESTS]
        for sender in senders:
            sender.start()
        _wait(site, "clickhouse-2-2", lambda count: count > _EVENTS // 4)
        site.compose("kill", *KILLED)
        for sender in senders:
            sender.join()
        _wait(site, "clickhouse-2-2", lambda count: count == 2 * _EVENTS)
        password = kafka_users.password(Path(folder), "clickhouse-loader")
        sys.stdout.write(f"without {' and '.join(KILLED)}: {site.reconcile(password)}\n")
        site.compose("up", "--detach", "--wait", *KILLED)
        for one, other in (SERVERS[:2], SERVERS[2:]):
            eventually(partial(_agree, site, one, other), _SECONDS_MAX)
        sys.stdout.write(f"with all servers: {site.reconcile(password)}\n")
    return 0


@contextmanager
def _up() -> Iterator[Site]:
    names = ("CLICKHOUSE_PASSWORD", "CLUSTER_SECRET", "INGEST_TOKENS")
    site = Site({**os.environ, **{name: secrets.token_hex(16) for name in names}})
    try:
        site.compose("up", "--detach", "--wait")
        yield site
    finally:
        site.compose("down", "--volumes")


def _wait(site: Site, server: str, is_enough: Callable[[int], bool]) -> None:
    sql = f"SELECT count() FROM tapcart.events WHERE app_id = '{site.app}'"
    eventually(lambda: is_enough(int(site.query(server, sql))), _SECONDS_MAX)


def _agree(site: Site, one: str, other: str) -> bool:
    """Return whether two servers have the same number of rows themselves."""
    sql = "SELECT count() FROM tapcart_raw.app_opened_local FINAL"
    return site.query(one, sql) == site.query(other, sql)


if __name__ == "__main__":
    sys.exit(main())
