"""Ranges of offsets are divided into slices that have the same share of each partition."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from consumers.warehouse.repair.offset_reader import OffsetRange, slices

_TOPIC = "tapcart.events"


@st.composite
def ranges(draw: st.DrawFn) -> list[OffsetRange]:
    """Return ranges that do not overlap, of some partitions."""
    found = []
    for partition in range(draw(st.integers(0, 4))):
        ends = sorted(draw(st.sets(st.integers(0, 200), max_size=12)))
        pairs = zip(ends[::2], ends[1::2], strict=False)
        found += [OffsetRange(_TOPIC, partition, start, end) for start, end in pairs]
    return draw(st.permutations(found))


@given(ranges(), st.integers(1, 300))
def test_every_offset_is_in_one_slice(some: list[OffsetRange], records_max: int) -> None:
    """In order within its partition, and no slice has an empty range."""
    read = [
        (one.partition, offset)
        for piece in slices(some, records_max)
        for one in piece
        for offset in range(one.start, one.end)
    ]

    wanted = [(one.partition, offset) for one in sorted(some) for offset in range(one.start, one.end)]
    assert sorted(read) == wanted
    assert [pair for _, pair in sorted(enumerate(read), key=lambda item: item[1][0])] == wanted
    assert all(one.start < one.end for piece in slices(some, records_max) for one in piece)


@given(ranges(), st.integers(1, 300))
def test_a_slice_has_the_same_share_of_each_partition(some: list[OffsetRange], records_max: int) -> None:
    """So partitions that filled side by side are read side by side."""
    totals = Counter(one.partition for one in some for _ in range(one.start, one.end))
    found = slices(some, records_max)

    for number, piece in enumerate(found):
        counts = Counter(one.partition for one in piece for _ in range(one.start, one.end))
        for partition, total in totals.items():
            assert abs(counts[partition] - total / len(found)) <= 1, number
    assert len(found) == -(-totals.total() // records_max)
