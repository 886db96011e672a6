"""`python -m tests.faults.production`: production on one machine; all is restarted, backed up and restored.

Exit status: 0 nothing was refused, lost or doubled, 1 something was. The same seed gives the same posts.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.production import report
from tests.faults.production.run import Options, Run


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.production", description=__doc__)
    parser.add_argument("--rate", type=float, default=500.0, help="posts a second (500)")
    parser.add_argument("--minutes", type=float, default=30.0, help="of posts, at least (30)")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="default: drawn, and shown"
    )
    parser.add_argument("--sample", type=int, default=20_000, help="events compared value by value (20000)")
    parser.add_argument(
        "--one-of-each", action="store_true", help="restart one broker, ingest and loader only"
    )
    parser.add_argument("--folder", type=Path, default=None, help="where data go (default: a new one)")
    parser.add_argument("--keep", action="store_true", help="keep the data of a run that passes")
    given = parser.parse_args()
    folder = (given.folder or Path(tempfile.mkdtemp(prefix="tapline-production-"))).resolve()
    options = Options(given.seed, given.rate, given.minutes, given.sample, folder, given.one_of_each)
    _say(f"seed {options.seed}, data in {folder}")
    for number in (signal.SIGINT, signal.SIGTERM):  # also as a shell's background job
        signal.signal(number, signal.default_int_handler)
    with Run(options, _say) as run:
        outcome = run.run()
    print(report.markdown(options, outcome), flush=True)
    if not outcome.complaints and not given.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if outcome.complaints else 0


def _say(text: str) -> None:
    print(f"production: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Threads of client libraries may still wait for a broker.
    os._exit(status)
