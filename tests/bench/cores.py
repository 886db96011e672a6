"""The use of cores: the measured process has one of its own; broker, ClickHouse and load share the other.

Invariant: a process inherits the cores of the thread that starts it, so nothing has to be moved afterwards.
Source: sched_setaffinity(2).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_AVAILABLE = sorted(os.sched_getaffinity(0))
MEASURED = {_AVAILABLE[0]}
OTHERS = {_AVAILABLE[-1]}  # the same one on a machine with one core: then ratios mean little
ALL = {*_AVAILABLE}


@contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """Run this thread, and all processes that it starts meanwhile, on `cores`."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
