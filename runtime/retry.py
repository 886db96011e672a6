"""The retry policy of every process: exponential pauses with full jitter, bounded in length and in time.

A policy retries the given errors only; all others pass through at once. When it gives up, the last error is
raised as it is. Source: tenacity.
"""

import threading
from collections.abc import Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    stop_never,
    stop_when_event_set,
    wait_random_exponential,
)
from tenacity.nap import sleep_using_event

_PAUSE_SECONDS_MIN = 0.1  # the longest first pause; each may be twice as long as the one before

Errors = type[Exception] | tuple[type[Exception], ...]
RetryPolicy = Retrying  # call it with a function and its arguments


def retrying(
    errors: Errors,
    pause_seconds_max: float,
    *,
    seconds_max: float | None = None,
    attempts_max: int | None = None,
) -> RetryPolicy:
    """Return a policy that gives up after `seconds_max` or `attempts_max`, if given."""
    stop = stop_never if seconds_max is None else stop_after_delay(seconds_max)
    return Retrying(
        retry=retry_if_exception_type(errors),
        wait=wait_random_exponential(_PAUSE_SECONDS_MIN, pause_seconds_max),
        stop=stop if attempts_max is None else stop | stop_after_attempt(attempts_max),
        reraise=True,
    )


def retrying_until(
    stopping: threading.Event,
    errors: Errors,
    pause_seconds_max: float,
    before_pause: Callable[[int, str], object],
) -> RetryPolicy:
    """Return a policy that gives up once `stopping` is set, also during a pause.

    `before_pause` gets the number of attempts so far and the text of the last error.
    """

    def note(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        before_pause(state.attempt_number, str(error or "")[:1000])

    return Retrying(
        retry=retry_if_exception_type(errors),
        wait=wait_random_exponential(_PAUSE_SECONDS_MIN, pause_seconds_max),
        stop=stop_when_event_set(stopping),
        sleep=sleep_using_event(stopping),
        before_sleep=note,
        reraise=True,
    )


def retrying_async(errors: Errors, pause_seconds_max: float) -> AsyncRetrying:
    """Return a policy for the event loop that never gives up."""
    return AsyncRetrying(
        retry=retry_if_exception_type(errors),
        wait=wait_random_exponential(_PAUSE_SECONDS_MIN, pause_seconds_max),
        reraise=True,
    )
