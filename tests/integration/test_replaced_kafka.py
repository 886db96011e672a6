"""Kafka starts with an empty folder below a running loader: its offsets begin again, for other records."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack import ROOT, Stack
from tests.support.waiting import patience
from tests.support.warehouse import Loader, Sender, Tables, body

pytestmark = pytest.mark.slow


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[Stack]:
    """A Kafka of this test's own."""
    running = Stack(tmp_path / "data", "kafka").start()
    yield running
    running.stop()


def reconcile(loader: Loader, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Return the exit status, the report, and what was said besides."""
    done = subprocess.run(
        [sys.executable, "-m", "consumers.reconcile", "--json", *arguments],
        cwd=ROOT,
        env=os.environ | loader.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_rows_of_a_replaced_kafka_account_for_nothing(services: Stack, kafka: Stack, tmp_path: Path) -> None:
    """The loader ends with a sentence, the next one begins at the start; reconcile counts only its rows."""
    tables, app = Tables(services.clickhouse_url), f"app-{uuid.uuid4()}"
    count = f"SELECT count() FROM tapcart.app_opened WHERE app_id = '{app}'"
    Sender(kafka.kafka).events(*(body(app_id=app) for _ in range(20)))
    loader = Loader(kafka.kafka, services.clickhouse_url, tmp_path).start()
    tables.wait(count, 20)
    kafka.stop()
    shutil.rmtree(kafka.data_dir / "kafka")
    kafka.start()
    Sender(kafka.kafka).events(*(body(app_id=app, event_id=f"new-{number}") for number in range(20)))
    ended, said = loader.process.wait(60 * patience()), loader.log.read_text()
    loader.start()
    tables.wait(count, 40, 60)
    loaded = reconcile(loader)
    tables.run(
        f"ALTER TABLE tapcart_raw.app_opened DELETE WHERE app_id = '{app}' AND event_id LIKE 'new-%'",
        mutations_sync=2,
    )
    repaired = reconcile(loader, "--repair")
    logs = tables.rows(
        "SELECT _log, uniqExact(_partition, _offset), countIf(event_id LIKE 'new-%')"
        f" FROM tapcart_raw.app_opened FINAL WHERE app_id = '{app}' GROUP BY _log ORDER BY 3"
    )
    stopped = loader.stop()

    assert (ended, "Traceback" in said) == (1, False)
    assert "tapcart.events, tapcart.quarantine: created again, or Kafka was replaced" in said
    assert (loaded[0], loaded[1]["totals"]["rows"]) == (0, 20)
    assert "loaded 20 missing records" in repaired[2]
    assert (repaired[0], repaired[1]["totals"]["rows"]) == (0, 20)
    assert [row[1:] for row in logs] == [[20, 0], [20, 20]]
    assert min(row[0] for row in logs) > 0
    assert stopped == 0
