"""A row that is never stored, and all kinds of outages without a bad row, in virtual time."""

import io
import random
import threading
from typing import TYPE_CHECKING, cast

import fastavro
import pytest

from consumers.kit.erasures.follower import NobodyErased
from consumers.kit.errors import TransientError
from consumers.warehouse.errors import InsertTooLargeError, ServerError, SetAsideError
from consumers.warehouse.load import inserts
from consumers.warehouse.load.batch import RowGroup
from consumers.warehouse.load.container import Format
from consumers.warehouse.load.inserts import Inserts, Policy
from consumers.warehouse.metrics import Metrics
from runtime.kafka import topics
from schemas.codec.varint import long
from tests.support.warehouse import CATALOG, body, value
from tests.unit.warehouse.test_batch import BINDINGS, FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = Policy(5.0, 1000, 0.0, 60.0)
DAY = 20251009
_RELEASE = CATALOG.newest("AppOpened")
assert _RELEASE
FORM = FORMATS[_RELEASE.wire_id]
BODY = value(body())[5:]
# A store's possible answers to a row, or to all.
LOST, REFUSED, LARGE = (
    TransientError("reset"),
    ServerError("no space", 243),
    InsertTooLargeError("memory", 241),
)


class Clock(threading.Event):
    """Time that only pauses and inserts advance; replaces `time` and the event to give up."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        """Advance time."""
        self.now += timeout or 0.0
        return self.is_set()


class Store:
    """ClickHouse as seen by an insert."""

    def __init__(self, clock: Clock, poison: dict[int, TransientError]) -> None:
        self.clock, self.poison = clock, poison
        self.stored: set[int] = set()
        self.down: list[tuple[float, float]] = []  # from, until: no answer
        self.sick: list[tuple[float, float, TransientError]] = []  # answers, but stores nothing
        self.restart_seconds = 2.0
        self.tables_made = 0

    def make_tables(self) -> None:
        """Do what `Store` says."""
        self.tables_made += 1

    def answers(self) -> bool:
        """Do what `Store` says."""
        return not any(start <= self.clock.now < end for start, end in self.down)

    def stores_another(self, _form: Format, day: int | None) -> bool:
        """Do what `Store` says."""
        assert day == DAY
        return self.answers() and self._sickness() is None

    def insert(self, _form: Format, data: bytes) -> None:
        """Do what `Store` says. A row that breaks the connection takes the server down for a while."""
        self.clock.now += 0.05
        if not self.answers():
            raise TransientError("refused")
        if error := self._sickness():
            raise error
        rows = offsets(data)
        for row in sorted(rows & self.poison.keys()):
            if self.poison[row] is LOST:
                self.down.append((self.clock.now, self.clock.now + self.restart_seconds))
            raise self.poison[row]
        self.stored |= rows

    def _sickness(self) -> TransientError | None:
        return next((error for start, end, error in self.sick if start <= self.clock.now < end), None)


def offsets(data: bytes) -> set[int]:
    """Return the rows of a container."""
    read = cast("Iterator[dict[str, int]]", fastavro.reader(io.BytesIO(data)))
    return {row["_offset"] for row in read}


def load(store: Store, clock: Clock, rows: int, policy: Policy = POLICY) -> tuple[set[int], Metrics]:
    """Load rows like the flusher; return those set aside."""
    metrics = Metrics()
    writer = Inserts(store, policy, metrics, clock, NobodyErased())
    group = RowGroup(FORM, topics.EVENTS)
    group.parts += (part for row in range(rows) for part in (BODY, long(0) + long(0) + long(row) + long(0)))
    found = writer.insert(group, BINDINGS, 1000)
    assert all(isinstance(error, SetAsideError) for _, error in found)
    return {row for row, _ in found}, metrics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of `inserts`."""
    clock = Clock()
    monkeypatch.setattr(inserts, "time", clock)
    monkeypatch.setattr(inserts._log, "disabled", True)
    return clock


@pytest.mark.parametrize("error", [LOST, REFUSED, LARGE], ids=str)
@pytest.mark.parametrize(("rows", "poison"), [(1, {0}), (100, {17}), (100, {3, 4, 99})])
def test_rows_that_are_never_stored_are_set_aside(
    clock: Clock, error: TransientError, rows: int, poison: set[int]
) -> None:
    """For any answer of the store, or none; all others are stored, within minutes."""
    store = Store(clock, dict.fromkeys(poison, error))
    aside, metrics = load(store, clock, rows)

    assert aside == poison
    assert store.stored == set(range(rows)) - poison
    assert clock.now < 120 * (1 + len(poison))
    assert metrics.stuck._value.get() == 1.0


@pytest.mark.parametrize("seconds", [1.0, 30.0, 600.0, 86_400.0])
def test_no_outage_sets_a_row_aside(clock: Clock, seconds: float) -> None:
    """Without answers for seconds or for a day: all are stored afterwards."""
    store = Store(clock, {})
    store.down = [(0.0, seconds)]

    assert load(store, clock, 50)[0] == set()
    assert store.stored == set(range(50))
    assert seconds <= clock.now < seconds + 6


@pytest.mark.parametrize("error", [REFUSED, LARGE, ServerError("read only", 242), LOST], ids=str)
@pytest.mark.parametrize("seconds", [1.0, 59.0, 600.0, 7_200.0])
def test_a_store_that_takes_nothing_sets_no_row_aside(
    clock: Clock, error: TransientError, seconds: float
) -> None:
    """It answers, but its disk is full, its tables are read-only or its memory is used up, even for hours."""
    store = Store(clock, {})
    store.sick = [(0.0, seconds, error)]
    aside, metrics = load(store, clock, 50)

    assert aside == set()
    assert store.stored == set(range(50))
    assert clock.now < seconds + 10
    assert metrics.stuck._value.get() == (seconds > 60)


def test_a_row_is_set_aside_in_spite_of_outages(clock: Clock) -> None:
    """Outages occur in between; no other row is blamed."""
    store = Store(clock, {7: REFUSED})
    store.down = [(at, at + 20.0) for at in range(10, 2000, 50)]
    store.sick = [(at, at + 10.0, ServerError("busy", 202)) for at in range(40, 2000, 50)]

    assert load(store, clock, 20)[0] == {7}
    assert store.stored == set(range(20)) - {7}


@pytest.mark.parametrize("seed", range(200))
def test_only_poison_is_set_aside_whatever_happens(clock: Clock, seed: int) -> None:
    """Any sequence of outages and failures; some rows are poison for some reason."""
    rng = random.Random(seed)
    rows = rng.randrange(1, 60)
    poison = {
        row: rng.choice((LOST, REFUSED, LARGE))
        for row in rng.sample(range(rows), rng.randrange(0, min(4, rows)))
    }
    store = Store(clock, poison)
    at = 0.0
    for _ in range(rng.randrange(6)):
        at, seconds = at + rng.uniform(0, 100), rng.choice((0.5, 5.0, 50.0, 500.0))
        if rng.random() < 0.5:
            store.down.append((at, at + seconds))
        else:
            store.sick.append((at, at + seconds, rng.choice((LOST, REFUSED, ServerError("parts", 252)))))
        at += seconds
    aside, _ = load(store, clock, rows)

    assert aside == poison.keys()
    assert store.stored == set(range(rows)) - poison.keys()


def test_giving_up_ends_it(clock: Clock) -> None:
    """A stop raises the last error; nothing is set aside."""
    store = Store(clock, {0: REFUSED})
    clock.set()

    with pytest.raises(ServerError):
        load(store, clock, 1)
