"""Three brokers on hosts of their own are cut off from each other and from clients; nothing is lost."""

from pathlib import Path

import pytest

from tests.faults.harness import network
from tests.faults.short_run import passed

pytestmark = pytest.mark.slow

# Its first three faults are of all three kinds.
_SEED = "12"
_KINDS = ("cut leader", "isolate leader", "narrow leader")


def test_partitions_of_the_network_lose_and_double_nothing(tmp_path: Path) -> None:
    """Two ingests and two loaders meanwhile; each answered post is there once when all is healed."""
    if why := network.missing():
        pytest.skip(why)
    report = passed(tmp_path / "run", "--network", "--seed", _SEED, "--faults", "3", "--rate", "60")

    assert all(f"1 {kind}" in report for kind in _KINDS)
