"""The retry policies: what is retried, and when they give up."""

import asyncio
import threading
import time

import pytest

from runtime.retry import retrying, retrying_async, retrying_until
from tests.support.waiting import patience


class _Failing:
    """Fails so often, then returns."""

    def __init__(self, times: int, error: type[Exception] = OSError) -> None:
        self.calls = 0
        self._times, self._error = times, error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error(f"call {self.calls}")
        return "done"


def test_a_given_error_is_retried_and_another_passes_at_once() -> None:
    """The result is the function's own."""
    failing, other = _Failing(2), _Failing(2, KeyError)

    assert retrying(OSError, 0.01)(failing) == "done"
    with pytest.raises(KeyError):
        retrying(OSError, 0.01)(other)
    assert (failing.calls, other.calls) == (3, 1)


def test_gives_up_after_so_many_attempts_or_so_long() -> None:
    """The last error is raised as it is."""
    failing = _Failing(99)

    with pytest.raises(OSError, match="call 3"):
        retrying(OSError, 0.01, attempts_max=3)(failing)
    with pytest.raises(OSError, match="call 4"):
        retrying(OSError, 0.01, seconds_max=0)(failing)


def test_stops_within_a_pause_once_it_is_told_to() -> None:
    """A pause of a minute does not hold up a stop; each pause is announced."""
    stopping, said = threading.Event(), list[tuple[int, str]]()

    def announce(attempts: int, error: str) -> None:
        said.append((attempts, error))
        stopping.set()

    began = time.monotonic()
    with pytest.raises(OSError, match="call"):
        retrying_until(stopping, OSError, 60.0, announce)(_Failing(99))

    assert said[0] == (1, "call 1")
    assert time.monotonic() - began < 10 * patience()


def test_an_async_policy_goes_on_until_it_succeeds() -> None:
    """On the event loop."""
    failing = _Failing(3)

    async def call() -> str:
        return failing()

    assert asyncio.run(retrying_async(OSError, 0.01)(call)) == "done"
