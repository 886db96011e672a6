"""Rejected rows: bisect against a model engine."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.errors import TransientError
from consumers.warehouse.errors import (
    DamagedRowError,
    InsertTooLargeError,
    PermanentError,
    StuckError,
    TooManyRefusedError,
)
from consumers.warehouse.load.bisect import refused_rows
from tests.support.garbage import cyclic_garbage


class Engine:
    """Rejects every range that has a bad row or too many rows."""

    def __init__(self, bad: set[int], rows_max: int = 1 << 30, large: TransientError | None = None) -> None:
        self.bad, self.rows_max = bad, rows_max
        self.large = large or InsertTooLargeError("too large", 241)
        self.stored: set[int] = set()
        self.calls = 0

    def __call__(self, piece: Sequence[int]) -> None:
        """Insert rows."""
        self.calls += 1
        assert list(piece) == sorted(piece)
        rows = set(piece)
        if len(piece) > self.rows_max:
            raise self.large
        if rows & self.bad:
            raise PermanentError(f"row {min(rows & self.bad)}")
        self.stored |= rows


class Check:
    """Finds damaged rows, each time it is called."""

    def __init__(self, damaged: set[int]) -> None:
        self.damaged, self.checked = damaged, 0

    def __call__(self, piece: Sequence[int]) -> dict[int, PermanentError]:
        """Return the damaged rows of a piece."""
        self.checked += len(piece)
        return {row: DamagedRowError(f"row {row}") for row in piece if row in self.damaged}


def nothing(_piece: Sequence[int]) -> dict[int, PermanentError]:
    """Find no row damaged."""
    return {}


SETS = st.sets(st.integers(0, 199))


@given(st.integers(0, 200), SETS, SETS, st.integers(1, 300))
def test_stores_good_rows_and_names_bad_ones(
    rows: int, bad: set[int], known: set[int], rows_max: int
) -> None:
    """Model: exactly the bad rows are refused, in order, damaged or not; all others are stored."""
    bad = {row for row in bad if row < rows}
    engine, check = Engine(bad, rows_max), Check(bad & known)
    refused = refused_rows(rows, engine, check, rows)

    assert check.checked <= rows
    assert [row for row, _ in refused] == sorted(bad)
    assert engine.stored == set(range(rows)) - bad
    assert [error.detail for _, error in refused] == [f"row {row}" for row in sorted(bad)]


@given(st.integers(2, 5000), st.data())
def test_damaged_rows_cost_one_insert(rows: int, data: st.DataObject) -> None:
    """However many they are; and they do not count as rejected, because the tables are not at fault."""
    bad = data.draw(st.sets(st.integers(0, rows - 1), min_size=1))
    engine = Engine(bad)
    refused = refused_rows(rows, engine, Check(bad), 0)

    assert [row for row, _ in refused] == sorted(bad)
    assert engine.calls == 1 + (len(bad) < rows)


@given(st.integers(1, 5000), st.data())
def test_one_bad_row_costs_few_inserts(rows: int, data: st.DataObject) -> None:
    """Halving finds a row within two inserts per level, after the two of all rows."""
    engine = Engine({data.draw(st.integers(0, rows - 1))})
    refused_rows(rows, engine, nothing, 1)

    assert engine.calls <= 2 * math.ceil(math.log2(rows)) + 2


@given(st.integers(1, 300), st.integers(1, 50))
def test_halves_what_is_too_large(rows: int, rows_max: int) -> None:
    """An engine with little memory gets smaller pieces."""
    engine = Engine(set(), rows_max)

    assert refused_rows(rows, engine, nothing, 0) == []
    assert engine.stored == set(range(rows))


@given(st.integers(2, 300), st.integers(1, 50))
def test_halves_what_is_stuck(rows: int, rows_max: int) -> None:
    """Pieces may succeed if the whole keeps failing."""
    engine = Engine(set(), rows_max, StuckError("stuck"))

    assert refused_rows(rows, engine, nothing, 0) == []
    assert engine.stored == set(range(rows))


def test_one_row_that_is_too_large_is_not_halved() -> None:
    """The caller handles it."""
    with pytest.raises(InsertTooLargeError):
        refused_rows(1, Engine(set(), 0), nothing, 10)


def test_stops_at_limit() -> None:
    """More rejected rows than allowed indicate a different problem."""
    with pytest.raises(TooManyRefusedError, match="3 rows"):
        refused_rows(100, Engine({1, 50, 99}), nothing, 2)


def test_transient_error_ends_search() -> None:
    """An outage never makes a row look rejected."""

    def away(_piece: Sequence[int]) -> None:
        raise TransientError("away")

    with pytest.raises(TransientError):
        refused_rows(10, away, nothing, 10)


def test_rejected_rows_leave_no_cycles() -> None:
    """An error that is kept does not keep the batch through its traceback."""
    engine = Engine({3, 50})

    assert cyclic_garbage(lambda: refused_rows(100, engine, nothing, 5)) == 0
