"""dbt-clickhouse: seed, run, run again (the incremental model), test, docs; each check is one JSON line."""

import json
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
from dbt.cli.main import dbtRunner

HERE = Path(__file__).parent
ADDRESS = urlsplit(os.environ.get("CLICKHOUSE", "http://127.0.0.1:8123"))
COUNTED = "SELECT sum(events), uniqExact(day) = count() FROM clients_dbt.devices_daily"


def main() -> None:
    """Run the commands one after the other, and query ClickHouse for the result."""
    client = clickhouse_connect.get_client(host=ADDRESS.hostname, port=ADDRESS.port or 8123)
    client.command("DROP DATABASE IF EXISTS clients_dbt")
    os.environ |= {"CLICKHOUSE_HOST": ADDRESS.hostname or "", "CLICKHOUSE_PORT": str(ADDRESS.port or 8123)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DBT_TARGET_PATH": folder, "DBT_LOG_PATH": folder}
        for name, command in {
            "seed": ["seed"],
            "run": ["run"],
            "incremental": ["run"],
            "test": ["test"],
            "docs": ["docs", "generate"],
        }.items():
            done = dbtRunner().invoke(
                [*command, "--project-dir", str(HERE), "--profiles-dir", str(HERE), "--quiet"]
            )
            report(name, "success" if done.success else str(done.exception or "failed: see above"))
        catalog = json.loads((Path(folder) / "catalog.json").read_text())
        report("catalog", "day" in catalog["nodes"]["model.tapline.devices_daily"]["columns"])
    report("counted", [*client.query(COUNTED).result_rows[0]])


def report(name: str, got: object) -> None:
    """Print a line of its own; dbt prints to standard output as well."""
    sys.stdout.write(f"{json.dumps({'check': name, 'got': got}, default=str)}\n")


main()
