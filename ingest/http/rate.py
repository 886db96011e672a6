"""How many requests a token may send in a second. Off unless the operator asks for it.

Source: Tapcart names 429 but retries only "a 400 or 500": what is refused here is lost.
"""

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter


class Rate:
    """The requests of this second, per token."""

    def __init__(self, per_second_max: int) -> None:
        self._limit = RateLimitItemPerSecond(per_second_max)
        self._requests = FixedWindowRateLimiter(MemoryStorage())

    def admits(self, secret: bytes) -> bool:
        """Return whether one more request of `secret` is within the limit; it counts from then on."""
        return self._requests.hit(self._limit, str(hash(secret)))
