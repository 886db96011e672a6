"""The bench's smoke mode: every contender runs and stores each event that it acknowledges. No timing.

Parts without contenders repeat promises that other tests hold: TAPLINE_BENCH=all tries them too.
"""

import os
import subprocess
import sys

import pytest

from tests.support.stack import ROOT

pytestmark = pytest.mark.slow

_CONTENDERS = ("receivers", "loaders", "queries")
_OTHERS = ("spool", "system", "two", "days") if os.environ.get("TAPLINE_BENCH") == "all" else ()


@pytest.mark.parametrize("part", [*_CONTENDERS, *_OTHERS])
def test_every_contender_stores_what_it_acknowledges(part: str) -> None:
    """It exits with 0: a contender that loses an event ends it with 1."""
    command = [sys.executable, "-m", "tests.bench", "--smoke", "--only", part]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-4000:]
