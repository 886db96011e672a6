"""The tail of the spool on its way to the producer, and the records that arrive meanwhile.

Arrivals are held until the tail is with the producer, then handed over right behind it, in order; they are
acknowledged when the tail is as well. If either fails, their publishers spool them, behind the tail.

Invariant: no arrival is with the producer before the whole tail is, nor acknowledged before.
"""

import asyncio
from collections.abc import Callable

from ingest.delivery.producer_port import NotAcknowledgedError, RefusedError
from ingest.delivery.record import Record

_Acknowledgement = asyncio.Future[None]
_Produce = Callable[[Record], _Acknowledgement]


class Tail:
    """One attempt to come back to Kafka; every method is called on the event loop."""

    def __init__(self, produce: _Produce) -> None:
        self._produce = produce
        self._is_handed_over = False
        self._held: list[tuple[Record, asyncio.Future[_Acknowledgement | None]]] = []  # in order
        # Whether Kafka has the tail.
        self._ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @property
    def held(self) -> int:
        """How many arrivals wait for the tail."""
        return len(self._held)

    @property
    def has_failed(self) -> bool:
        """Whether arrivals have gone to the spool."""
        return self._ended.done() and not self._ended.result()

    async def follow(self, record: Record) -> None:
        """Return when Kafka has the tail and `record`. Raises: NotAcknowledgedError, RefusedError."""
        acknowledgement = self._produce(record) if self._is_handed_over else await self._hold(record)
        if acknowledgement is None:
            raise NotAcknowledgedError("the spool's tail did not get to Kafka in time")
        refusal = None
        try:
            await acknowledgement
        except RefusedError as error:
            refusal = error
        if not await asyncio.shield(self._ended):
            raise NotAcknowledgedError("Kafka does not acknowledge what was spooled before")
        if refusal:
            raise refusal

    def handed_over(self) -> None:
        """Hand over what is held: the tail is with the producer."""
        assert not self._ended.done()
        self._is_handed_over = True
        self._release(self._produce)

    def acknowledged(self) -> None:
        """Let arrivals be acknowledged: Kafka has the tail."""
        assert self._is_handed_over
        self._ended.set_result(True)

    def fail(self) -> None:
        """Send arrivals to the spool. Failing again changes nothing."""
        if not self._ended.done():
            self._ended.set_result(False)
        self._release(lambda _: None)

    def _release(self, way: Callable[[Record], _Acknowledgement | None]) -> None:
        held, self._held = self._held, []
        for record, waiting in held:
            if not waiting.done():  # its publisher is still there
                waiting.set_result(way(record))

    def _hold(self, record: Record) -> "asyncio.Future[_Acknowledgement | None]":
        waiting: asyncio.Future[_Acknowledgement | None] = asyncio.get_running_loop().create_future()
        self._held.append((record, waiting))
        return waiting
