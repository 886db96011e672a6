"""From a service's last start to the next."""

from pathlib import Path

from deploy.local import starts
from deploy.local.starts import Start


def test_what_ran_for_a_while_comes_back_at_once() -> None:
    """Whatever happened before."""
    assert starts.following(None, 100.0) == Start(1, 0.0, 100.0)
    assert starts.following(Start(1, 0.0, 100.0), 104.0) == Start(2, 0.0, 104.0)
    assert starts.following(Start(9, 15.0, 100.0), 104.0) == Start(10, 0.0, 104.0)


def test_what_ends_as_it_starts_waits_longer_each_time_up_to_a_bound() -> None:
    """And the count continues."""
    start, pauses = Start(1, 0.0, 100.0), []
    for _ in range(8):
        start = starts.following(start, start.at + 0.1)
        pauses.append(start.pause_seconds)

    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert start.count == 9


def test_a_clock_that_was_set_back_makes_no_long_wait() -> None:
    """At worst it counts as a short run."""
    assert starts.following(Start(1, 0.0, 1e9), 5.0) == Start(2, 0.5, 5.5)


def test_starts_are_kept_until_the_stack_starts(tmp_path: Path) -> None:
    """An unreadable count starts at one."""
    starts.write(tmp_path, "live", Start(3, 0.5, 7.0))
    before = starts.read(tmp_path, "live"), starts.read(tmp_path, "other")
    (tmp_path / "live.starts").write_text("{")
    damaged = starts.read(tmp_path, "live")
    starts.forget(tmp_path)

    assert before == (Start(3, 0.5, 7.0), None)
    assert damaged is None
    assert [*tmp_path.iterdir()] == []
