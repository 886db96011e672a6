"""Inserts of small batches take a share of the time at most; full batches do not wait."""

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from consumers.warehouse.load import loader
from consumers.warehouse.load.batch import BatchLimits
from consumers.warehouse.load.container import Format
from tests.support.loop import StandInConsumer, StandInStore, run_loader
from tests.support.warehouse import Message, body, message

if TYPE_CHECKING:
    from consumers.kit.record import Record

_RECORD: Message = message(body())
_INSERT_SECONDS = 0.02


class _SlowStore(StandInStore):
    """Notes when each insert begins; one of them stops the loader."""

    def __init__(self, inserts: int, consumer: StandInConsumer) -> None:
        self.began: list[float] = []
        self._inserts, self._consumer = inserts, consumer

    def insert(self, _form: Format, _data: bytes) -> None:
        """Take a while."""
        self.began.append(time.monotonic())
        if len(self.began) == self._inserts:
            self._consumer.stop()
        threading.Event().wait(_INSERT_SECONDS)


class _Trickle(StandInConsumer):
    """One record each time."""

    def __init__(self, record_seconds: float) -> None:
        super().__init__()
        self._offset, self._seconds = 0, record_seconds

    def poll(self, seconds_max: float, _records_max: int, _bytes_max: int) -> "list[Record]":
        """Return the next record."""
        threading.Event().wait(min(seconds_max, self._seconds))
        self._offset += 1
        return [cast("Record", replace(_RECORD, offset_=self._offset))]


def _intervals(limits: BatchLimits, share: float, inserts: int, record_seconds: float = 0.002) -> list[float]:
    """Return the seconds between the starts of inserts."""
    consumer = _Trickle(record_seconds)
    store = _SlowStore(inserts, consumer)
    run_loader(lambda _revoked: consumer, store, limits, share)
    return [later - earlier for earlier, later in zip(store.began, store.began[1:], strict=False)]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_inserts_of_small_batches_take_a_share_of_the_time_at_most(share: float) -> None:
    """However many records arrive: batches grow instead of their number."""
    intervals = _intervals(BatchLimits(1 << 20, 1 << 30, 0.0), share, 5)

    assert min(intervals[:4]) >= _INSERT_SECONDS / share


def test_full_batches_do_not_wait() -> None:
    """Catching up uses all of ClickHouse."""
    intervals = _intervals(BatchLimits(5, 1 << 30, 0.0), 0.01, 5)

    assert sum(intervals) < 4 * _INSERT_SECONDS / 0.01


@pytest.mark.parametrize(
    ("bytes_max", "record_seconds", "is_returned"),
    [(20_000, 0.002, True), (24_000, 0.03, True), (1 << 30, 0.002, False)],
    ids=["large", "small, together large", "small"],
)
def test_the_memory_of_batches_is_returned(
    monkeypatch: pytest.MonkeyPatch, bytes_max: int, record_seconds: float, *, is_returned: bool
) -> None:
    """Behind a large batch, or small ones as large together; else it would only cost time."""
    returned: list[None] = []
    monkeypatch.setattr(loader, "return_freed_memory", lambda: returned.append(None))
    _intervals(BatchLimits(1 << 20, bytes_max, 0.0), 0.5, 5, record_seconds)

    assert bool(returned) is is_returned
