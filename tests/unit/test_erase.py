"""Whether an insert from before the tombstones may still be under way."""

import pytest

from consumers.erase import goes_on
from consumers.warehouse.repair.offset_reader import PartitionOffsets

_PLACE, _OTHER = ("tapcart.events", 0), ("tapcart.events", 1)


@pytest.mark.parametrize(
    ("committed", "high", "expected"),
    [
        pytest.param(10, 10, True, id="all is loaded"),
        pytest.param(6, 10, True, id="it has gone on"),
        pytest.param(5, 10, False, id="it stands still"),
    ],
)
def test_a_loader_that_stands_still_may_be_inserting(committed: int, high: int, expected: bool) -> None:  # noqa: FBT001
    """Its batch may hold rows of somebody who has been erased meanwhile."""
    begun = dict.fromkeys((_PLACE, _OTHER), PartitionOffsets(1, 0, 10, 5))
    logs = {_PLACE: PartitionOffsets(1, 0, high, committed), _OTHER: PartitionOffsets(1, 0, 10, 10)}

    assert goes_on(begun, logs) is expected


def test_a_new_partition_must_be_loaded() -> None:
    """Nobody knows whether the loader has begun with it."""
    assert not goes_on({}, {_PLACE: PartitionOffsets(1, 0, 10, 5)})
