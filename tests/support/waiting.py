"""Waiting in tests: for a state, never for a duration."""

import os
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import httpx
from confluent_kafka import KafkaException

_T = TypeVar("_T")
_PATIENCE_MAX = 10.0
_BUSY = 2.0
_STEPS = 20_000
_STEP_SECONDS = 15e-9  # an empty loop's, on a fast machine of 2025
_PAUSE_SECONDS_MAX = 0.2  # queries without a pause would take the cores from the processes awaited


def patience() -> float:
    """Return how many times longer things may take on this machine now: 1 while a fast one has a free core.

    Deadlines in tests are for such a machine. Processes that want to run share the cores of a busy one.
    """
    return min(_slowness() * max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0))), _PATIENCE_MAX)


def is_busy() -> bool:
    """Return whether the product's own limits may be too short here, as ingest's 0.8 s for its disk."""
    return patience() >= _BUSY


@cache
def _slowness() -> float:
    """Return how many times slower than a fast machine this one runs Python: at least 1."""

    def seconds() -> float:
        began = time.perf_counter()
        for _ in range(_STEPS):
            pass
        return time.perf_counter() - began

    # The fastest of some: another process interrupts the others.
    return max(1.0, min(seconds() for _ in range(5)) / (_STEPS * _STEP_SECONDS))


def eventually(ask: Callable[[], _T], seconds_max: float = 30, what: str = "") -> _T:
    """Return the first true result of `ask`, waiting for services that do not answer yet.

    A slow or busy machine has more than `seconds_max`.
    Raises: AssertionError at the deadline, with the last result or error.
    """
    began, pause = time.monotonic(), 0.01
    while True:
        try:
            answer = ask()
            last: object = answer
            if answer:
                return answer
        except (httpx.HTTPError, KafkaException, OSError) as error:
            last = error
        if (waited := time.monotonic() - began) > seconds_max * patience():
            raise AssertionError(f"not within {waited:.1f} s: {what or 'what was awaited'}; last: {last!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, _PAUSE_SECONDS_MAX)
