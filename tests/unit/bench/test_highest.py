"""The search for the highest rate."""

import pytest

from tests.bench.highest import search


@pytest.mark.parametrize("limit", [400, 1500, 2000, 2399, 2400, 2900, 3000, 3300, 3749, 3750, 4400])
def test_the_search_ends_near_the_limit(limit: int) -> None:
    """From either side, within a quarter, and never above what was fresh."""
    tried: list[float] = []

    def is_fresh(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = search(is_fresh, 3000, 10)

    assert limit / 1.25 < found <= limit
    assert found in tried
    assert len(tried) == len(set(tried))


def test_no_fresh_rate_is_none() -> None:
    """The number of steps is bounded."""
    tried: list[float] = []

    def is_fresh(rate: float) -> bool:
        tried.append(rate)
        return False

    assert search(is_fresh, 3000, 4) == 0
    assert len(tried) == 4
