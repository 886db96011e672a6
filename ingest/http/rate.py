"""The number of requests that a token may send per second. Off by default.

Source: Tapcart names 429 but retries only "a 400 or 500", so requests refused here are lost.
"""

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


class Rate:
    """The requests of the current second, per token."""

    def __init__(self, per_second_max: int) -> None:
        self._limit = RateLimitItemPerSecond(per_second_max)
        self._requests = FixedWindowRateLimiter(MemoryStorage())

    def admits(self, secret: str) -> bool:
        """Count a request of `secret`; return whether it is within the limit."""
        return self._requests.hit(self._limit, str(hash(secret)))
