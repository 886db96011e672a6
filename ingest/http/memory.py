"""Bytes of the requests in flight, counted against a limit.

Invariant: every request gives back all that it took, whatever its answer. Bodies as sent and their records
count; librdkafka and the spool copy a record, so a counted byte takes up to three.
"""

from ingest.delivery.publisher import NotKeptError


class OverMemoryError(NotKeptError):
    """The bytes in flight are at their limit. The same request may succeed later."""


class Memory:
    """Counts the bytes that requests hold."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes = 0
        self.bytes_max = bytes_max

    def take(self, count: int) -> None:
        """Add `count` bytes. Raises: OverMemoryError, and then adds nothing."""
        if self.bytes + count > self.bytes_max:
            raise OverMemoryError(f"over {self.bytes_max} bytes of requests in flight")
        self.bytes += count

    def give_back(self, count: int) -> None:
        """Subtract `count` bytes."""
        self.bytes -= count
        assert self.bytes >= 0
