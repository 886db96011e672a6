"""The systemd units: valid, and hardened. `make test-systemd` boots them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.stack import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("tapline-*.*"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
_EXPOSURE_MAX = 2.0

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.stem)
def test_a_service_exposes_little(service: Path) -> None:
    """By systemd's own measure: 0 is nothing, 10 is everything."""
    command = ["systemd-analyze", "security", "--offline=true", str(service)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)

    assert found, said
    assert float(found[1]) <= _EXPOSURE_MAX


def test_the_units_are_valid(tmp_path: Path) -> None:
    """Every line is known to systemd; the program is there once it is installed."""
    for unit in UNITS:
        text = unit.read_text().replace("/opt/tapline/bin/tapline", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert [line for line in said.stderr.splitlines() if "tapline" in line] == []
    assert said.returncode == 0


def test_each_process_has_a_service() -> None:
    """Which runs it by its command."""
    started = {name for one in SERVICES for name in re.findall(r"ExecStart=.* (\w+)\n", one.read_text())}

    assert started == {"ingest", "live", "warehouse"}
