"""ingest restarts under a sender that never retries: no post is refused."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.restarts import measure
from tests.support.stack import ROOT, Stack

pytestmark = pytest.mark.slow
_RATE = 300.0  # posts per second
_RESTARTS = 3


@pytest.fixture(scope="module")
def receiving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and ingest under `make run`'s supervisor."""
    stack = Stack(tmp_path_factory.mktemp("restarts"), "kafka,ingest").start()
    yield stack
    stack.stop()


def test_a_restart_refuses_no_post(receiving: Stack) -> None:
    """On connections that stay open and on new ones, at a sender's full rate."""
    outcome = asyncio.run(measure(receiving, _RESTARTS, _RATE, signal.SIGTERM))

    assert (len(outcome.restart_seconds), outcome.refused, outcome.lost) == (_RESTARTS, 0, 0), outcome.text()
    assert outcome.statuses["200"] > 3 * _RATE


def test_a_crash_costs_at_most_the_posts_in_flight(receiving: Stack) -> None:
    """SIGKILL: new connections wait for the next process, and every acknowledged event is in the topic."""
    outcome = asyncio.run(measure(receiving, 1, _RATE, signal.SIGKILL))

    assert outcome.lost == 0, outcome.text()
    assert "ConnectionRefusedError" not in outcome.statuses
    assert outcome.refused < _RATE / 2, outcome.text()


def test_a_command_restarts_a_process(receiving: Stack) -> None:
    """It returns once the new process is ready."""
    before = receiving.pid("ingest")
    said = _restart(receiving.env)

    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("ingest: a new process is ready after ")
    assert receiving.pid("ingest") != before


def test_the_command_needs_a_stack(tmp_path: Path) -> None:
    """One sentence, status 1."""
    said = _restart(os.environ | {"DATA_DIR": str(tmp_path)})

    assert said.returncode == 1
    assert said.stderr == f"restart: no stack runs on the data folder {tmp_path}: `make run` starts it\n"


def _restart(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.local.restart"]
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )
