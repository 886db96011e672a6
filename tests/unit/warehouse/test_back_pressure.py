"""A slow ClickHouse pauses Kafka: memory stays bounded, and nothing is lost."""

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from consumers.warehouse.load.batch import BatchLimits
from consumers.warehouse.load.container import Format
from tests.support.loop import StandInConsumer, StandInStore, run_loader
from tests.support.warehouse import Message, body, message

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.kit.record import Place, Record

_RECORD: Message = message(body())
_SECONDS_MAX = 20
_ROWS = 5


class _Consumer(StandInConsumer):
    """Records without end until it is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.paused, self.resumed = threading.Event(), threading.Event()
        self.polled = self.polled_while_paused = self.committed = 0

    def poll(self, seconds_max: float, records_max: int, _bytes_max: int) -> "list[Record]":
        """Return as many records as there is room for; while paused, none."""
        if self.paused.is_set() and not self.resumed.is_set():
            threading.Event().wait(min(seconds_max, 0.002))
            self.polled_while_paused += 1
            return []
        first, self.polled = self.polled, self.polled + max(1, records_max)
        records = [replace(_RECORD, offset_=offset) for offset in range(first, self.polled)]
        return cast("list[Record]", records)

    def pause(self) -> None:
        """Note it."""
        self.paused.set()

    def resume(self) -> None:
        """Note the first one after a pause, and end."""
        if self.paused.is_set():
            self.resumed.set()
            self.stop()

    def commit(self, offsets: "Mapping[Place, int]") -> None:
        """Note the offset."""
        self.committed = max(offsets.values())


class _Store(StandInStore):
    """Hangs in its first insert until the consumer is paused."""

    def __init__(self, consumer: _Consumer) -> None:
        self._consumer = consumer
        self.inserts = 0

    def insert(self, _form: Format, _data: bytes) -> None:
        """Hang once."""
        self.inserts += 1
        if self.inserts == 1:
            assert self._consumer.paused.wait(_SECONDS_MAX)
            threading.Event().wait(0.05)


def test_a_full_batch_behind_a_slow_insert_pauses_until_it_ends() -> None:
    """Polling goes on, so the group keeps its member; at most two batches are held; all are committed."""
    consumer = _Consumer()
    store = _Store(consumer)
    run_loader(lambda _revoked: consumer, store, BatchLimits(_ROWS, 1 << 30, 0.0), share=1.0)

    assert consumer.resumed.is_set()
    assert consumer.polled_while_paused > 0
    assert store.inserts >= 2
    assert consumer.committed == consumer.polled
    assert consumer.polled <= 3 * _ROWS
