"""Python's start -> a process of the stack whose clock the harness steps: `time.time` is ahead or behind.

On PYTHONPATH of the stack under test only. Patched before anything else is imported, so `now` seams that
default to `time.time` have it, and logs too. Monotonic clocks are left alone, as a real step leaves them.
"""

import mmap
import os
import struct
import sys
import time
from pathlib import Path

_CLOCK = struct.Struct("d")
# Not the supervisor, whose restarts wait by this clock.
_STEPPED = (["-m", "ingest"], ["-m", "consumers.warehouse"])


def _step_with(path: Path) -> None:
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), _CLOCK.size, prot=mmap.PROT_READ)
    true_time, unpack = time.time, _CLOCK.unpack_from
    time.time = lambda: true_time() + unpack(memory)[0]


if "TAPLINE_FAULTS_CLOCK" in os.environ and sys.orig_argv[1:3] in _STEPPED:
    _step_with(Path(os.environ["TAPLINE_FAULTS_CLOCK"]))
