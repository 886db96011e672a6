"""dbt-clickhouse, in a project that uses the package deploy/dbt; each check is one JSON line.

Invariant: dbt writes into a copy of the project.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from dbt.cli.main import dbtRunner

HERE = Path(__file__).parent
PACKAGE = HERE.parents[2] / "deploy" / "dbt"
ALL_DAYS = '{"tapline_days": 36500}'  # the posted samples are not of today
ADDRESS = urlsplit(os.environ.get("CLICKHOUSE", "http://127.0.0.1:8123"))
COUNTED = "SELECT sum(events), uniqExact(day) = count() FROM clients_dbt.devices_daily"


def main() -> None:
    """Run the commands one after the other, and query ClickHouse for the result."""
    client = clickhouse_connect.get_client(host=ADDRESS.hostname, port=ADDRESS.port or 8123)
    client.command("DROP DATABASE IF EXISTS clients_dbt")
    os.environ |= {"CLICKHOUSE_HOST": ADDRESS.hostname or "", "CLICKHOUSE_PORT": str(ADDRESS.port or 8123)}
    with tempfile.TemporaryDirectory() as folder:
        project = shutil.copytree(HERE, Path(folder) / "project")
        shutil.copytree(PACKAGE, Path(folder) / "tapline")
        (project / "packages.yml").write_text("packages: [{local: ../tapline}]\n")
        os.environ |= {"DBT_TARGET_PATH": folder, "DBT_LOG_PATH": folder}
        for name, command in {
            "deps": ["deps"],
            "seed": ["seed"],
            "run": ["run"],
            "incremental": ["run"],
            "test": ["test", "--exclude", "package:tapline"],
            "package": ["test", "--select", "package:tapline", "--vars", ALL_DAYS],
            "docs": ["docs", "generate"],
        }.items():
            done = dbtRunner().invoke(
                [*command, "--project-dir", str(project), "--profiles-dir", str(project), "--quiet"]
            )
            report(name, "success" if done.success else str(done.exception or "failed: see above"))
            if name == "package":
                results = json.loads((Path(folder) / "run_results.json").read_text())["results"]
                report("package_tests", {one["status"] for one in results} == {"pass"} and len(results) > 50)
        catalog = json.loads((Path(folder) / "catalog.json").read_text())
        report("catalog", "day" in catalog["nodes"]["model.clients.devices_daily"]["columns"])
        report("source_columns", undescribed(Path(folder), catalog))
    report("counted", [*client.query(COUNTED).result_rows[0]])


def undescribed(folder: Path, catalog: dict[str, Any]) -> list[str]:
    """Return the columns of views that the package does not describe, and those that no view has."""
    manifest = json.loads((folder / "manifest.json").read_text())
    found: list[str] = []
    for key, source in manifest["sources"].items():
        if source["source_name"] == "tapcart" and source["columns"]:
            there = {column.lower() for column in catalog["sources"][key]["columns"]}
            found += [f"{source['name']}.{one}" for one in there ^ {one.lower() for one in source["columns"]}]
        elif key not in catalog["sources"]:
            found.append(source["name"])
    return sorted(found)


def report(name: str, got: object) -> None:
    """Print a line of its own; dbt prints to standard output as well."""
    sys.stdout.write(f"{json.dumps({'check': name, 'got': got}, default=str)}\n")


main()
