"""A stack with its own folder of schemas, the commands that users run with it, and SQL on its tables."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from schemas.catalog.catalog import HERE
from tests.support.stack import ROOT, Stack
from tests.support.warehouse import Tables
from tests.support.web import WEB, total

ARRIVAL = ("app_id", "received_at", "app_properties.app_id")


class Site:
    """A stack with its own folder of schemas."""

    def __init__(self, folder: Path, only: str, **env: str) -> None:
        self.folder = folder
        self.schemas = folder / "schemas"
        self.schemas.mkdir()
        shutil.copytree(HERE / "avro", self.schemas / "avro")
        shutil.copy(HERE / "registry.json", self.schemas)
        env |= {"SCHEMAS_DIR": str(self.schemas), "WAREHOUSE_BATCH_AGE_SECONDS_MAX": "0.1"}
        self.stack = Stack(folder / "data", only, env)

    @property
    def tables(self) -> Tables:
        """ClickHouse."""
        return Tables(self.stack.clickhouse_url)

    def metric(self, process: str, name: str) -> float:
        """Return a metric of `ingest` or `warehouse`, summed over labels."""
        port = {"ingest": "INGEST_ADMIN_PORT", "warehouse": "WAREHOUSE_METRICS_PORT"}[process]
        page = WEB.get(f"http://127.0.0.1:{self.stack.env[port]}/metrics").text
        return total(page, f"tapline_{process}_{name}")

    def run(self, module: str, *arguments: object, status: int = 0) -> str:
        """Run a command as make does; return its output."""
        base = self.stack.ingest_url.partition("/tapcart_webhooks")[0]
        ours = {"INGEST_URL": base, "INGEST_ADMIN_URL": self.stack.admin_url}
        ours |= {"KAFKA_BOOTSTRAP_SERVERS": self.stack.kafka, "CLICKHOUSE_URL": self.stack.clickhouse_url}
        done = subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=ROOT, env=os.environ | self.stack.env | ours, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def post(self, *events: dict[str, Any]) -> None:
        """Send events, all of which must be acknowledged."""
        with httpx.Client(timeout=20) as client:
            for event in events:
                assert client.post(self.stack.ingest_url, json=event).status_code == 200

    def count(self, table: str, where: str) -> int:
        """Return how many rows a view shows."""
        return int(self.tables.one(f"SELECT count() FROM tapcart.{table} WHERE {where}"))

    def rows(self, table: str, app: str) -> list[dict[str, Any]]:
        """Return an app's rows of a raw table in the events' order, without columns of their arrival."""
        names = self.tables.rows(
            f"SELECT name FROM system.columns WHERE database = 'tapcart' AND table = '{table}'"
        )
        found = [str(name) for (name,) in names if name not in ARRIVAL]
        listed = ", ".join(f"toString(`{name}`)" for name in found)
        answer = self.tables.rows(
            f"SELECT {listed} FROM tapcart.{table} WHERE app_id = '{app}' ORDER BY event_id"
        )
        return [dict(zip(found, row, strict=True)) for row in answer]
