"""A condition, checked until it holds, for a bounded time: the one wait of all processes that poll."""

import threading
import time
from collections.abc import Callable


def wait_until(
    holds: Callable[[], bool],
    seconds_max: float,
    pause_seconds: float,
    stopping: threading.Event | None = None,
) -> bool:
    """Return True once `holds()` is true; False after `seconds_max`, or once `stopping` is set.

    It is checked at once, then after each pause; the last check is not before the end of the time.
    """
    pause = (stopping or threading.Event()).wait
    deadline = time.monotonic() + seconds_max
    while not holds():
        if time.monotonic() >= deadline or pause(pause_seconds):
            return False
    return True
