"""Some work -> its duration on the reference machine of the tests' limits, measured on any machine.

The unit is the time of a fixed loop, measured right before and after: a busy or slow machine stretches both.
The garbage collector is off, because its time depends on earlier tests in the process.
"""

import gc
import time
from collections.abc import Callable

_LOOP_SECONDS = 0.02  # on the reference machine
_TRIES = 3


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of `work` on the reference machine, the minimum of a few tries."""
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
