"""Bytes of the requests in flight, counted against a bound.

Invariant: what a request took it gives back when it ends, whatever its answer. The bodies as sent and the
records made of them count; librdkafka and the spool copy a record, so a byte counted takes up to three.
"""

from ingest.delivery.publisher import NotKeptError


class OverMemoryError(NotKeptError):
    """The bytes in flight are at their bound. The same request may succeed later."""


class Memory:
    """What the requests of one process hold."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes = 0
        self.bytes_max = bytes_max

    def take(self, count: int) -> None:
        """Count `count` more bytes. Raises: OverMemoryError, and then none is counted."""
        if self.bytes + count > self.bytes_max:
            raise OverMemoryError(f"over {self.bytes_max} bytes of requests in flight")
        self.bytes += count

    def give_back(self, count: int) -> None:
        """Count `count` bytes less."""
        self.bytes -= count
        assert self.bytes >= 0
