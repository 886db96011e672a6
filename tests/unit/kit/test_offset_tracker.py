"""The offsets that may be committed, for any order of reads, completions and revocations."""

import random

from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.offset_tracker import Hold, OffsetTracker

PLACE = ("topic", 0)
STEPS = st.lists(st.sampled_from(["read", "pass", "release", "commit", "lose"]), max_size=60)


@given(STEPS, st.randoms(use_true_random=False))
def test_nothing_undone_is_committed(steps: list[str], chance: random.Random) -> None:
    """A model of one partition, which is read again from its committed offset after each assignment."""
    progress, committed, position = OffsetTracker(), 0, 0
    open_: dict[int, Hold] = {}
    done: set[int] = set()
    for step in steps:
        if step == "read":
            open_[position] = progress.read(PLACE, position)
            position += 1
        elif step == "pass":
            progress.passed(PLACE, position)
            done.add(position)
            position += 1
        elif step == "release" and open_:
            offset = chance.choice([*open_])
            open_.pop(offset).release()
            done.add(offset)
        elif step == "commit":
            committed = progress.due().get(PLACE, committed)
        elif step == "lose":
            progress.forget([PLACE])
            assert not any(hold.is_ours for hold in open_.values())
            open_, position = {}, committed

        assert done >= {*range(committed)}


def test_what_is_done_is_committed() -> None:
    """All of it, once."""
    progress = OffsetTracker()
    first, second = progress.read(PLACE, 5), progress.read(PLACE, 6)
    progress.passed(PLACE, 7)
    assert progress.due() == {PLACE: 5}
    second.release()
    assert progress.due() == {}
    first.release()
    first.release()

    assert progress.due() == {PLACE: 8}
    assert progress.due() == {}


def test_a_hold_of_before_says_nothing_of_after() -> None:
    """A reassigned partition starts anew; holds from before no longer count."""
    progress = OffsetTracker()
    old = progress.read(PLACE, 5)
    progress.forget([PLACE])
    new = progress.read(PLACE, 5)
    old.release()

    assert (old.is_ours, new.is_ours) == (False, True)
    assert progress.due() == {PLACE: 5}
