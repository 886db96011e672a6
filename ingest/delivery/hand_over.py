"""What was read of the spool -> Kafka, in order, and each of its records in a topic or kept elsewhere.

Invariant: a frame counts as delivered when its report has come, and with it all before it in its segment; so
what Kafka has before a failure is not repeated, and what it has behind a failure is.
"""

import asyncio

from ingest.delivery.producer_port import Producer, RefusedError
from ingest.delivery.rescue import Rescue
from ingest.delivery.segment import Frame
from ingest.delivery.spool import Piece, Spool
from ingest.metrics import Metrics

_WINDOW_RECORDS_MAX = 1000  # awaiting acknowledgement at once

Acknowledgements = list[asyncio.Future[None]]


class HandOver:
    """The way from the spool to the producer. Methods raise: NotAcknowledgedError, SpoolUnavailableError."""

    def __init__(self, producer: Producer, spool: Spool, rescue: Rescue, metrics: Metrics) -> None:
        self._producer = producer
        self._spool = spool
        self._rescue = rescue
        self._metrics = metrics

    async def deliver(self, piece: Piece) -> None:
        """Return when Kafka has what is in `piece`."""
        for first in range(0, len(piece.frames) or 1, _WINDOW_RECORDS_MAX):
            last = min(first + _WINDOW_RECORDS_MAX, len(piece.frames))
            await self._settle(piece, first, last, self._produce(piece.frames[first:last]))

    def begin(self, piece: Piece) -> Acknowledgements:
        """Hand the records of `piece` to the producer, to be settled later."""
        return self._produce(piece.frames)

    async def settle(self, piece: Piece, acknowledgements: Acknowledgements) -> bool:
        """Return whether Kafka has what was begun, in order; False: what it has behind it came too early."""
        return await self._settle(piece, 0, len(piece.frames), acknowledgements)

    def _produce(self, frames: list[Frame]) -> Acknowledgements:
        return [self._producer.produce(frame.record) for frame in frames if frame.record]

    async def _settle(self, piece: Piece, first: int, last: int, acknowledgements: Acknowledgements) -> bool:
        frames = piece.frames[first:last]
        outcomes = await _outcomes(acknowledgements)
        refused = next((n for n, outcome in enumerate(outcomes) if isinstance(outcome, RefusedError)), None)
        if refused is not None:  # with those of its batch: what follows is repeated, in order
            records = [frame.record for frame in frames if frame.record][refused:]
            outcomes[refused:] = await _outcomes([*map(self._producer.produce_alone, records)])
        each, delivered = iter(outcomes), first
        try:
            for frame in frames:
                await self._end(frame, next(each) if frame.record else None)
                delivered += 1
        finally:
            self._spool.acknowledge(piece, first, delivered)
            self._metrics.drained.inc(delivered - first)
        return refused is None

    async def _end(self, frame: Frame, outcome: BaseException | None) -> None:
        if not frame.record:
            await self._rescue.damaged(frame.damage)
        elif isinstance(outcome, RefusedError):
            await self._rescue.refused(frame.record, str(outcome))
        elif outcome:
            raise outcome


async def _outcomes(acknowledgements: Acknowledgements) -> list[BaseException | None]:
    if acknowledgements:
        await asyncio.wait(acknowledgements)
    return [acknowledgement.exception() for acknowledgement in acknowledgements]
