"""The Kafka producer that delivery needs: a port, implemented by `KafkaProducer`.

Contract, tested on the real producer and on the simulation's fake: records of one key are written in the
order in which they were produced; a future succeeds only if Kafka has the record; a record that was given up
before it was sent is never sent.
"""

import asyncio
from typing import Protocol

from ingest.delivery.record import OutgoingRecord


class NotAcknowledgedError(Exception):
    """Kafka has not confirmed the record, which may still arrive. The same call may succeed later."""


class RefusedError(Exception):
    """Kafka will never accept the record, or another of its batch: it is too large or invalid."""


class Producer(Protocol):
    """Records -> Kafka, each with its acknowledgement. Call every method on the event loop."""

    @property
    def pending(self) -> int:
        """The number of records awaiting their delivery report."""

    def oldest_seconds(self) -> float:
        """Return how long the oldest pending record has waited; 0 if none is pending."""

    def produce(self, record: OutgoingRecord) -> asyncio.Future[None]:
        """Queue `record` and return a future for its acknowledgement.

        Raises, from the future: NotAcknowledgedError, RefusedError.
        """

    def produce_alone(self, record: OutgoingRecord) -> asyncio.Future[None]:
        """Produce `record` in a batch of its own, because Kafka refuses a batch as a whole.

        Records produced alone keep their order among themselves, but may overtake the others or be overtaken.
        """

    def give_up(self) -> None:
        """Fail every pending record with NotAcknowledgedError; unsent ones are never sent."""

    async def close(self, seconds_max: float) -> None:
        """Wait at most `seconds_max` for pending records, and fail the rest."""
