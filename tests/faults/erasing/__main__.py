"""`python -m tests.faults.erasing`: erase people from a stack under faults, and try to bring them back.

Exit status: 0 nobody came back and nobody else lost anything, 1 not. The same seed gives the same posts,
people and faults; how they meet depends on the machine.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.erasing.run import Options, Outcome, Run


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.erasing", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="default: drawn, and shown"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="under faults, at least (60)")
    parser.add_argument("--rate", type=float, default=300.0, help="posts a second (300)")
    parser.add_argument("--people", type=int, default=12, help="who are erased (12)")
    parser.add_argument("--kills", type=int, default=2, help="erasures killed before one may end (2)")
    parser.add_argument("--analytics", type=int, default=3000, help="posts behind the analytics views (3000)")
    # An erasure needs a loader that gets somewhere now and then.
    parser.add_argument("--hands", type=int, default=1, help="faults at once; 0: none (1)")
    parser.add_argument("--folder", type=Path, default=None, help="where data go (default: a new one)")
    parser.add_argument("--keep", action="store_true", help="keep the data of a run that passes")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="tapline-erasing-"))
    names = ("seed", "seconds", "rate", "people", "kills", "analytics", "hands")
    options = Options(**{name: getattr(given, name) for name in names}, folder=folder.resolve())
    _say(f"seed {options.seed}, data in {folder}")
    outcome = Run(options, _say).run()
    print(_report(options, outcome), flush=True)
    if not outcome.complaints and not given.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if outcome.complaints else 0


def _report(options: Options, outcome: Outcome) -> str:
    verdict = "passed: nobody came back, nobody else lost anything"
    if outcome.complaints:
        verdict = "\n".join(["FAILED", *(f"  - {one}" for one in outcome.complaints)])
    figures = ", ".join(f"{value:,.0f} {name}" for name, value in outcome.figures.items())
    seconds = ", ".join(f"{name} {value:.0f}" for name, value in outcome.seconds.items())
    return f"seed {options.seed}: {verdict}\n  {figures}\n  seconds: {seconds}"


def _say(text: str) -> None:
    print(f"erasing: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Threads of client libraries may still wait for a broker.
    os._exit(status)
