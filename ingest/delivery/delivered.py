"""Records in flight and in the spool -> the moment up to which Kafka has every received event.

Invariant: Kafka has every acknowledged event that was received before that moment by this process's clock.
Spooled records and records in flight hold the moment back. Setting the clock back breaks the invariant. Used
by `consumers.kit.received_until`.
"""

import itertools
from typing import Literal

from ingest.delivery.publisher import Publisher
from ingest.delivery.record import OutgoingRecord

# An append to the spool may take this long, on top of the time allowed for Kafka.
_APPEND_SECONDS_MAX = 1.0


class Delivered:
    """Wraps a publisher and tracks that moment. Call every method on the event loop."""

    def __init__(self, publisher: Publisher, acknowledge_seconds_max: float) -> None:
        self._publisher = publisher
        # A record that waited for Kafka is spooled behind younger ones.
        self._disorder_ms = round((acknowledge_seconds_max + _APPEND_SECONDS_MAX) * 1000)
        self._numbers = itertools.count()
        self._on_their_way: dict[int, int] = {}  # number -> received_at

    async def publish(self, record: OutgoingRecord) -> Literal["kafka", "spool"]:
        """Publish `record` and return where it was kept. Raises: NotKeptError."""
        number = next(self._numbers)
        self._on_their_way[number] = record.timestamp_ms
        try:
            return await self._publisher.publish(record)
        finally:
            del self._on_their_way[number]

    def until_ms(self, now_ms: int) -> int | None:
        """Return that moment, at most `now_ms`, or None if the age of the spooled records is unknown."""
        spool = self._publisher.spool
        oldest_ms = spool.oldest_ms()
        if spool.unavailable or not spool.is_open or (oldest_ms is None and not spool.empty):
            return None
        spooled = [] if oldest_ms is None else [oldest_ms - self._disorder_ms]
        return min([now_ms, *self._on_their_way.values(), *spooled])
