"""Which rows are refused: bisect against a model of an engine that refuses what it must."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.errors import TransientError
from consumers.warehouse.bisect import refused_rows
from consumers.warehouse.errors import PermanentError, TooLargeError, TooManyRefusedError


class Engine:
    """Refuses every range that holds a bad row or more rows than it can take."""

    def __init__(self, bad: set[int], rows_max: int = 1 << 30) -> None:
        self.bad, self.rows_max = bad, rows_max
        self.stored: set[int] = set()
        self.calls = 0

    def __call__(self, start: int, end: int) -> None:
        """Insert rows `start` to `end` - 1."""
        self.calls += 1
        rows = set(range(start, end))
        if end - start > self.rows_max:
            raise TooLargeError("too large")
        if rows & self.bad:
            raise PermanentError(f"row {min(rows & self.bad)}")
        self.stored |= rows


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(0, n - 1))))))
def test_stores_good_rows_and_names_bad_ones(case: tuple[int, set[int]]) -> None:
    """Model: what is refused is exactly what is bad, in order; all else is stored."""
    rows, bad = case
    bad = {row for row in bad if row < rows}
    engine = Engine(bad)
    refused = refused_rows(rows, engine, rows)

    assert [row for row, _ in refused] == sorted(bad)
    assert engine.stored == set(range(rows)) - bad
    assert [error.detail for _, error in refused] == [f"row {row}" for row in sorted(bad)]


@given(st.integers(1, 5000), st.data())
def test_one_bad_row_costs_few_inserts(rows: int, data: st.DataObject) -> None:
    """Halving finds one row within two inserts per halving."""
    engine = Engine({data.draw(st.integers(0, rows - 1))})
    refused_rows(rows, engine, 1)

    assert engine.calls <= 2 * math.ceil(math.log2(rows)) + 1 if rows > 1 else engine.calls == 1


@given(st.integers(1, 300), st.integers(1, 50))
def test_halves_what_is_too_large(rows: int, rows_max: int) -> None:
    """An engine with little memory gets the rows in smaller pieces."""
    engine = Engine(set(), rows_max)

    assert refused_rows(rows, engine, 0) == []
    assert engine.stored == set(range(rows))


def test_one_row_that_is_too_large_is_transient() -> None:
    """It cannot be halved, and memory may be free later: never dropped, never quarantined."""
    with pytest.raises(TooLargeError):
        refused_rows(1, Engine(set(), 0), 10)


def test_stops_at_limit() -> None:
    """More refused rows than allowed are no accident of the data."""
    with pytest.raises(TooManyRefusedError, match="3 rows"):
        refused_rows(100, Engine({1, 50, 99}), 2)


def test_transient_error_ends_search() -> None:
    """A row is never taken for refused because the engine was away."""

    def away(_start: int, _end: int) -> None:
        raise TransientError("away")

    with pytest.raises(TransientError):
        refused_rows(10, away, 10)
