"""The check for a quiet machine: whose time counts, and when figures are not to be trusted."""

import subprocess
import sys
import time

from tests.bench.quiet import Conditions, Watch, _ours

_BUSY = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass"


def test_a_quiet_machine_leaves_no_doubt() -> None:
    """Others' time and steal each cast doubt alone, in words."""
    assert not Conditions(0.05, 0.01).doubt
    assert "other processes took 50% of a core" in Conditions(0.5, 0.0).doubt
    assert "the hypervisor 30% (steal)" in Conditions(0.0, 0.3).doubt


def test_time_of_our_own_processes_is_ours() -> None:
    """Of running descendants and of those that have ended."""
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_BUSY.format(0.2)!r}])"
    before = _ours()
    subprocess.run([sys.executable, "-c", nested], check=True)

    assert _ours() - before >= 0.19


def test_a_watch_counts_no_more_than_the_cores() -> None:
    """Its own process's work is none of others'; both shares are of cores."""
    with Watch() as watch:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass

    assert 0 <= watch.conditions.others < 64
    assert 0 <= watch.conditions.steal < 64
