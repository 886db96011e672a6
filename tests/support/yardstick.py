"""A piece of work -> how long it takes, as on the machine that the tests' bounds are for, on any machine.

The time of a fixed loop, taken right before and after, is the unit: a busy or a slow machine stretches both.
The garbage collector rests: how long it takes depends on the tests that ran before in the process.
"""

import gc
import time
from collections.abc import Callable

_LOOP_SECONDS = 0.02  # on the machine that the bounds are for
_TRIES = 3


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds that `work` takes on the reference machine, the least of a few tries."""
    gc.disable()
    try:
        return min(_ratio(work) for _ in range(_TRIES)) * _LOOP_SECONDS
    finally:
        gc.enable()


def _ratio(work: Callable[[], object]) -> float:
    before, taken, after = _cpu_seconds(_loop), _cpu_seconds(work), _cpu_seconds(_loop)
    return taken / max(before, after)


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _loop() -> None:
    values: dict[int, str] = {}
    for number in range(200_000):
        values[number & 1023] = str(number)
