"""Three brokers on hosts of their own are cut off from each other and from clients; nothing is lost."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.harness import network
from tests.support.stack import ROOT

pytestmark = pytest.mark.slow

# Its first three faults are of all three kinds.
_SEED = "12"
_KINDS = ("cut leader", "isolate leader", "narrow leader")


def test_partitions_of_the_network_lose_and_double_nothing(tmp_path: Path) -> None:
    """Two ingests and two loaders meanwhile; each answered post is there once when all is healed."""
    if why := network.missing():
        pytest.skip(why)
    command = ["-m", "tests.faults.harness", "--network", "--seed", _SEED, "--faults", "3", "--rate", "60"]
    done = subprocess.run(
        [sys.executable, *command, "--folder", str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed: nothing lost" in done.stdout
    assert all(f"1 {kind}" in done.stdout for kind in _KINDS)
