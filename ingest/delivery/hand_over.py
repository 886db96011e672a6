"""Pieces read from the spool -> Kafka, in order; refused records and damaged bytes go to the rescue.

Invariant: a frame counts as delivered once its delivery report and those of all earlier frames of its segment
have arrived. After a failure, delivery repeats from the failed frame, not from before it.
"""

import asyncio
from collections.abc import Iterable

from ingest.delivery.producer_port import Producer, RefusedError
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.rescue import Rescue
from ingest.delivery.spool import Piece, Spool
from ingest.metrics import Metrics

_WINDOW_RECORDS_MAX = 1000  # in flight at once


class HandOver:
    """Sends spooled records to the producer. Methods raise: NotAcknowledgedError, SpoolUnavailableError."""

    def __init__(self, producer: Producer, spool: Spool, rescue: Rescue, metrics: Metrics) -> None:
        self._producer = producer
        self._spool = spool
        self._rescue = rescue
        self._metrics = metrics

    async def deliver(self, piece: Piece) -> None:
        """Deliver all of `piece` in order, rescuing the records that Kafka refuses for good."""
        for first in range(0, len(piece.frames) or 1, _WINDOW_RECORDS_MAX):
            await self._deliver(piece, first, min(first + _WINDOW_RECORDS_MAX, len(piece.frames)))

    async def _deliver(self, piece: Piece, first: int, last: int) -> None:
        frames = piece.frames[first:last]
        records = [frame.record for frame in frames if frame.record]
        outcomes = await _outcomes(map(self._producer.produce, records))
        failed = next((n for n, outcome in enumerate(outcomes) if outcome), None)
        # Do not deliver past an unacknowledged record: later ones would overtake it.
        if failed is not None and isinstance(outcomes[failed], RefusedError):
            # Kafka refused its whole batch, so send this record and all later ones again, one by one.
            outcomes[failed:] = await _outcomes(map(self._producer.produce_alone, records[failed:]))
            outcomes = await self._rescued(records, outcomes)
        each, delivered = iter(outcomes), first
        try:
            for frame in frames:
                if not frame.record:
                    await self._rescue.damaged(frame.damage)
                elif failure := next(each):
                    raise failure
                delivered += 1
        finally:
            self._spool.acknowledge(piece, first, delivered)
            self._metrics.drained.inc(delivered - first)

    async def _rescued(
        self, records: list[OutgoingRecord], outcomes: list[BaseException | None]
    ) -> list[BaseException | None]:
        """Rescue all refused records at once and return the updated outcomes."""
        at_fault = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, RefusedError)]
        keeping = [self._rescue.refused(records[n], str(outcomes[n])) for n in at_fault]
        ends = dict(zip(at_fault, await asyncio.gather(*keeping, return_exceptions=True), strict=True))
        rescued = {n: end if isinstance(end, BaseException) else None for n, end in ends.items()}
        return [rescued.get(n, outcome) for n, outcome in enumerate(outcomes)]


async def _outcomes(acknowledgements: Iterable[asyncio.Future[None]]) -> list[BaseException | None]:
    """Wait for all acknowledgements; return the error of each, or None."""
    awaited = [*acknowledgements]
    if awaited:
        await asyncio.wait(awaited)
    return [acknowledgement.exception() for acknowledgement in awaited]
