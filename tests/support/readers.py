"""All of our readers of the events topic, side by side."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consumers.kit import events
from runtime.kafka import topics
from tests.faults.harness.cluster import Cluster
from tests.support.live import Live
from tests.support.process import Ingest
from tests.support.stack import ROOT, Stack
from tests.support.warehouse import Loader


@dataclass
class Readers:
    """A loader, a page, a consumer of the kit, and `tail`."""

    cluster: Cluster
    ingest: Ingest
    clickhouse: str
    loader: Loader
    live: Live
    kit: set[tuple[str, str]]  # (app, event id) as read by a consumer of the kit
    tail: Path  # output of `tail`

    def tailed(self) -> set[tuple[str, str]]:
        """Return the events printed by `tail`."""
        whole = self.tail.read_text().rpartition("\n")[0].splitlines()
        return {(one["app_id"], one["event_id"]) for one in map(json.loads, whole)}

    def run(self, command: str, *arguments: str) -> str:
        """Return the output of one of our commands."""
        done = subprocess.run(
            [sys.executable, "-m", command, *arguments],
            cwd=ROOT,
            env=self.loader.environment()
            | {"INGEST_ADMIN_URL": f"http://127.0.0.1:{self.ingest.admin_port}"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def lags(self) -> dict[int, int]:
        """Return partition of the events topic -> lag shown on the page."""
        cells = self.live.snapshot()["lag"]["partitions"]
        return {one["partition"]: one["lag"] for one in cells if one["topic"] == topics.EVENTS}


@contextmanager
def reading(cluster: Cluster, ingest: Ingest, clickhouse: Stack, folder: Path) -> Iterator[Readers]:
    """Run all readers."""
    url, intake = clickhouse.clickhouse_url, f"http://127.0.0.1:{ingest.admin_port}"
    loader = Loader(cluster.servers, url, folder).start()
    live = Live(clickhouse, KAFKA_BOOTSTRAP_SERVERS=cluster.servers, LIVE_INGEST_URL=intake)
    seen: set[tuple[str, str]] = set()
    stream = events("growing", env={"KAFKA_BOOTSTRAP_SERVERS": cluster.servers})
    reading = threading.Thread(
        target=lambda: seen.update((one["app_id"], one["event_id"]) for one in stream), daemon=True
    )
    reading.start()
    printed = folder / "tail.jsonl"
    command = [sys.executable, "-m", "consumers.tail", "--json", "--since", "1h"]
    with printed.open("wb") as file:
        tail = subprocess.Popen(command, cwd=ROOT, env=loader.environment(), stdout=file)
    yield Readers(cluster, ingest, url, loader, live, seen, printed)
    tail.kill()
    tail.wait()
    stream.stop()
    reading.join(30)
    loader.stop()
    live.stop()
