"""Inserts of small batches take a share of the time at most; full batches do not wait."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from consumers.kit.decode import Refusal
from consumers.kit.record import Place
from consumers.warehouse.load.batch import Batch, BatchLimits
from consumers.warehouse.load.container import Format
from consumers.warehouse.load.flush import Flusher
from consumers.warehouse.load.inserts import Policy
from consumers.warehouse.load.loader import Bounds, Loader
from consumers.warehouse.load.schema_bindings import CurrentBindings
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.tables import tables
from schemas.catalog.schema_reloader import SchemaReloader
from tests.support.warehouse import Message, body, message
from tests.unit.warehouse.test_batch import CHECK, SPLIT

if TYPE_CHECKING:
    from consumers.kit.group_consumer import GroupConsumer
    from consumers.kit.record import Record

_RECORD: Message = message(body())
_CURRENT = SchemaReloader()
_INSERT_SECONDS = 0.02


class _Store:
    """A warehouse with slow inserts, and a consumer that stops the loader after a few of them."""

    joined = True

    def __init__(self, inserts: int) -> None:
        self.tables = tables(_CURRENT.catalog)
        self.began: list[float] = []
        self.stop: Callable[[], None] = lambda: None
        self._inserts = inserts
        self._offset = 0

    def make_tables(self) -> None: ...

    def answers(self) -> bool:
        return True

    def stores_another(self, _form: Format, _day: int | None) -> bool:
        return True

    def insert(self, _form: Format, _data: bytes) -> None:
        self.began.append(time.monotonic())
        if len(self.began) == self._inserts:
            self.stop()
        threading.Event().wait(_INSERT_SECONDS)

    def write(self, _refusals: Sequence[Refusal]) -> list[Refusal]:
        return []

    def poll(self, seconds_max: float, _records_max: int, _bytes_max: int) -> "list[Record]":
        threading.Event().wait(min(seconds_max, 0.002))
        self._offset += 1
        return [cast("Record", replace(_RECORD, offset_=self._offset))]

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def commit(self, _offsets: Mapping[Place, int]) -> None: ...

    def lags(self) -> dict[Place, int]:
        return {}

    def close(self, _seconds_max: float) -> None: ...


def _intervals(limits: BatchLimits, share: float, inserts: int) -> list[float]:
    """Return the seconds between the starts of inserts."""
    store, metrics = _Store(inserts), Metrics()
    loader = Loader(
        lambda _revoked: cast("GroupConsumer", store),
        lambda: Batch(limits, SPLIT, CHECK),
        Flusher(store, store, CurrentBindings(_CURRENT, metrics), Policy(0.0, 1000, 0.0), metrics),
        Bounds(1 << 30, 5.0, share),
        metrics,
    )
    store.stop = loader.stop
    loader.run()
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
