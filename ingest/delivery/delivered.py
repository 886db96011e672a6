"""Records on their way -> the moment until which Kafka has everything that was received.

Invariant: every event that was acknowledged, and received before that moment by this process's clock, is in
Kafka. What waits on disk holds it back, and so does a record that is not acknowledged yet. It does not hold
where the clock is set back. `consumers.kit.received_until` is what it is for.
"""

import itertools
from typing import Literal

from ingest.delivery.publisher import Publisher
from ingest.delivery.record import Record

# Beyond the time that Kafka may take: an append to the spool.
_APPEND_SECONDS_MAX = 1.0


class Delivered:
    """A publisher that knows the moment; every method is called on the event loop."""

    def __init__(self, publisher: Publisher, acknowledge_seconds_max: float) -> None:
        self._publisher = publisher
        # A record that waited for Kafka lies on disk behind younger ones.
        self._disorder_ms = round((acknowledge_seconds_max + _APPEND_SECONDS_MAX) * 1000)
        self._numbers = itertools.count()
        self._on_their_way: dict[int, int] = {}  # number -> received_at

    async def publish(self, record: Record) -> Literal["kafka", "spool"]:
        """Return where `record` now is safe. Raises: NotKeptError."""
        number = next(self._numbers)
        self._on_their_way[number] = record.timestamp_ms
        try:
            return await self._publisher.publish(record)
        finally:
            del self._on_their_way[number]

    def until_ms(self, now_ms: int) -> int | None:
        """Return the moment, `now_ms` at most; None: the disk does not say what waits on it."""
        spool = self._publisher.spool
        oldest_ms = spool.oldest_ms()
        if spool.unavailable or not spool.is_open or (oldest_ms is None and not spool.empty):
            return None
        spooled = [] if oldest_ms is None else [oldest_ms - self._disorder_ms]
        return min([now_ms, *self._on_their_way.values(), *spooled])
