"""Waiting in tests: for a state, never for a duration."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import httpx
from confluent_kafka import KafkaException

_T = TypeVar("_T")
_PATIENCE_MAX = 10.0
_PAUSE_SECONDS_MAX = 0.2  # queries without a pause would take the cores from the processes awaited


def patience() -> float:
    """Return how many times longer things may take on this machine now: 1 while it has a free core.

    Deadlines in tests are for such a machine. Processes that want to run share the cores of a busy one.
    """
    return min(max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0))), _PATIENCE_MAX)


def eventually(ask: Callable[[], _T], seconds_max: float = 30, what: str = "") -> _T:
    """Return the first true result of `ask`, waiting for services that do not answer yet.

    A busy machine has more than `seconds_max`.
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
