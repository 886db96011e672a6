"""Processes that cannot start because of a setting: exit status 2 and a reason, without a traceback."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.stack import ROOT, free_ports

# Every process and command that uses Kafka, or settings related to it.
COMMANDS = {
    "ingest": (),
    "consumers.warehouse": (),
    "consumers.live": (),
    "consumers.replay": ("--where", "1"),
    "consumers.reconcile": (),
    "consumers.tail": (),
    "consumers.examples.abandoned_carts": ("http://127.0.0.1:9",),
    "consumers.examples.alerts": (),
    "consumers.examples.parquet": ("folder",),
    "deploy.local": (),
    "deploy.demo": (),
    "deploy.doctor": (),
    "deploy.prometheus": (),
    "deploy.report": (),
    "deploy.status": (),
    "deploy.url": (),
}
SERVERS = {
    ("ingest", "INGEST_PORT"),
    ("ingest", "INGEST_ADMIN_PORT"),
    ("consumers.live", "LIVE_PORT"),
    ("deploy.local.clickhouse", "CLICKHOUSE_PORT"),
    ("deploy.local", "LIVE_PORT"),
}


def ended(module: str, env: Mapping[str, str], folder: Path, *arguments: str) -> tuple[int, str]:
    """Return the exit status and what was said of it."""
    given = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "INGEST_"))},
        **free_ports(),
        "DATA_DIR": str(folder / "data"),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "INGEST_TOKENS": "a-token-of-a-test",
        **env,
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2
    return done.returncode, done.stderr


@pytest.mark.parametrize("module", COMMANDS)
def test_a_property_that_kafkas_clients_do_not_know(module: str, tmp_path: Path) -> None:
    """With librdkafka's message."""
    status, said = ended(module, {"KAFKA_SECURITY_PROTOKOLL": "SSL"}, tmp_path, *COMMANDS[module])

    assert status == 2
    assert 'KAFKA_*: No such configuration property: "security.protokoll"' in said


@pytest.mark.parametrize(("module", "variable"), sorted(SERVERS))
def test_an_address_in_use(module: str, variable: str, tmp_path: Path) -> None:
    """Reported by its setting."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        status, said = ended(module, {variable: port}, tmp_path)

    assert status == 2
    assert variable in said
    assert port in said
    assert "in use" in said


@pytest.mark.parametrize(
    "module", ["ingest", "consumers.warehouse", "consumers.live", "consumers.examples.alerts"]
)
def test_properties_that_do_not_go_together(module: str, tmp_path: Path) -> None:
    """Including those that only a producer created later would refuse."""
    status, said = ended(module, {"KAFKA_MAX_IN_FLIGHT": "10"}, tmp_path)

    assert status == 2
    assert "must be set <= 5" in said


@pytest.mark.parametrize(
    "module", ["consumers.examples.abandoned_carts", "consumers.examples.alerts", "consumers.tail"]
)
def test_a_folder_without_schemas(module: str, tmp_path: Path) -> None:
    """At SCHEMAS_DIR."""
    status, said = ended(module, {"SCHEMAS_DIR": str(tmp_path)}, tmp_path, *COMMANDS[module])

    assert status == 2
    assert "registry.json" in said
