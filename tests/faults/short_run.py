"""A short run of `make faults` for a test."""

import subprocess
import sys
from pathlib import Path

from tests.support.stack import ROOT


def passed(folder: Path, *options: str) -> str:
    """Run it, and return its report. Raises: AssertionError with the output if a promise is broken."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.harness", *options, "--folder", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed: nothing lost" in done.stdout
    return done.stdout
