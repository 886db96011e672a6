"""What delivery needs of a Kafka producer: a port. `KafkaProducer` is the real one.

The contract, to which tests hold the real one and the simulation's fake: the records of one key are written
in the order in which they were handed over, as far as they are written; a future succeeds only if Kafka has
the record; what was given up before it was sent is never sent.
"""

import asyncio
from typing import Protocol

from ingest.delivery.record import Record


class NotAcknowledgedError(Exception):
    """Kafka has not confirmed the record: it may arrive yet, or never. The same call may succeed later."""


class RefusedError(Exception):
    """Kafka will never take the record, or one of its batch: it is too large for the topic, or invalid."""


class Producer(Protocol):
    """Records -> Kafka, each with its acknowledgement. Every method is called on the event loop."""

    @property
    def pending(self) -> int:
        """How many records await their delivery report."""

    def oldest_seconds(self) -> float:
        """Return for how long the oldest pending record has waited; 0 when none does."""

    def produce(self, record: Record) -> asyncio.Future[None]:
        """Return a future of the acknowledgement. It raises: NotAcknowledgedError, RefusedError."""

    def produce_alone(self, record: Record) -> asyncio.Future[None]:
        """Do the same in a batch of its own: Kafka refuses a batch as a whole, whichever record is at fault.

        Those produced so are written in order; they and the others may overtake each other.
        """

    def give_up(self) -> None:
        """Fail every pending record with NotAcknowledgedError; none that was not sent yet is sent."""

    async def close(self, seconds_max: float) -> None:
        """Wait `seconds_max` at most for what is pending, and fail the rest."""
