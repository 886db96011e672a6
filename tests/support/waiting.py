"""Waiting in tests: for a state, never for a duration."""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx
from confluent_kafka import KafkaException

_T = TypeVar("_T")
_PAUSE_SECONDS_MAX = 0.2  # queries without a pause would take the cores from the processes awaited


def eventually(ask: Callable[[], _T], seconds_max: float = 30, what: str = "") -> _T:
    """Return the first true result of `ask`, waiting for services that do not answer yet.

    Raises: AssertionError at the deadline, with the last result or error.
    """
    deadline, pause = time.monotonic() + seconds_max, 0.01
    while True:
        try:
            answer = ask()
            last: object = answer
            if answer:
                return answer
        except (httpx.HTTPError, KafkaException, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds_max} s: {what or 'what was awaited'}; last: {last!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, _PAUSE_SECONDS_MAX)
