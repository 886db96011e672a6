"""A one-machine stack that moves to other servers by the runbook's words, and the acknowledged events."""

import json
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from confluent_kafka.admin import AdminClient

from consumers.warehouse.clickhouse import connect
from runtime.kafka import topics
from tests.support.live import event
from tests.support.stack import ROOT, Stack
from tests.support.web import WEB

_DAY_MS = 86_400_000
APP = "moved"


def blocks(heading: str) -> list[list[str]]:
    """Return the commands of a section of the runbook, block by block."""
    section = (ROOT / "deploy/runbook.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```bash\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return [block.splitlines() for block in found]


@dataclass
class Moving:
    """The stack, the ClickHouse server outside, and what the commands said."""

    stack: Stack
    outside: Stack
    url_file: Path  # of the server outside, with its password
    posted: dict[str, int] = field(default_factory=dict)  # acknowledged event_id -> its day

    def post(self, kind: str = "AppOpened", days_ago: int = 0, **fields: Any) -> str:
        """Post an event, and return its id."""
        at = time.time_ns() // 1_000_000 - days_ago * _DAY_MS
        body = event(kind, timestamp=at, app_id=APP, **fields)
        assert WEB.post(self.stack.ingest_url, content=body).status_code == 200
        identity = str(json.loads(body)["event_id"])
        self.posted[identity] = days_ago
        return identity

    def call(self, command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Return how a command ended."""
        return subprocess.run(
            ["bash", "-ec", command.replace("outside.url", str(self.url_file))],
            cwd=ROOT,
            env=self.stack.env | env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def run(self, command: str, **env: str) -> str:
        """Return what a successful command said."""
        done = self.call(command, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, command: str, line: str, **env: str) -> None:
        """Start the stack as the runbook's `command` does; `line`: the services that tests need of it."""
        assert "make run" in command
        only = re.search("--only ([a-z,]+)", command)
        self.stack.command = [*self.stack.command[:3], "--only", only[1] if only else line]
        self.stack.env |= env
        self.stack.start()

    @property
    def url(self) -> str:
        """The URL of the server outside, with its password."""
        return self.url_file.read_text().strip()

    @property
    def own_url(self) -> str:
        """The URL of the stack's own ClickHouse."""
        return f"http://127.0.0.1:{self.stack.env['CLICKHOUSE_PORT']}"

    def here(self) -> Client:
        """Return a client of the stack's own ClickHouse."""
        return connect(self.own_url, 60)

    def there(self) -> Client:
        """Return a client of the server outside."""
        return connect(self.url, 60)

    def stored(self) -> list[str]:
        """Return the ids that the server outside shows, in order."""
        return [
            row[0] for row in self.there().query("SELECT event_id FROM tapcart.events ORDER BY 1").result_rows
        ]


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def replicas(servers: str) -> set[int]:
    """Return the numbers of replicas that the partitions of our topics have."""
    found = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=10).topics
    return {len(p.replicas) for name in topics.ALL for p in found[name].partitions.values()}
