"""Counts of three components at different moments, which must add up."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.live.answers import Day, Mark, Today
from consumers.live.balance import balance, midnight_ms, settled_ms
from consumers.live.intake import SpoolStatus
from consumers.live.state import Balance

COUNTS = st.integers(0, 1_000_000)


def day(events: int, refused: int = 0) -> Day:
    """Return ClickHouse's count of a day up to moment 8."""
    return Day(0, 8, events, refused, 4, 9)


def parts(found: Balance) -> int:
    """Return the sum of the acknowledged events' parts."""
    return found.clickhouse + found.under_way + found.spooled + found.refused + found.repeats


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_parts_add_up_whatever_was_seen(
    events: int, refused: int, counted: int, waiting: int, since: int, spooled: int
) -> None:
    """No part is negative; either they add up, or there is no balance."""
    today = Today(0, counted + since, ())
    found = balance(
        day(events, refused), Mark(8, counted, waiting), today, SpoolStatus(spooled, 1, 2, None, 9)
    )

    assert (found is None) == (counted + since < events + refused)
    if found:
        assert parts(found) == found.acknowledged == counted + since + spooled
        assert min(found.under_way, found.repeats) >= 0


def test_what_was_sent_twice_is_a_repeat() -> None:
    """Ten records of eight events, all loaded: two duplicates, however many have arrived since."""
    found = balance(day(8), Mark(8, 10, 0), Today(0, 13, ()), None)

    assert found
    assert (found.clickhouse, found.repeats, found.under_way, found.acknowledged) == (8, 2, 3, 13)


def test_what_waits_is_no_repeat() -> None:
    """A record that is not loaded is not missing from ClickHouse because of a duplicate."""
    found = balance(day(6), Mark(8, 10, 4), Today(0, 10, ()), None)

    assert found
    assert (found.repeats, found.under_way) == (0, 4)


def test_a_refused_event_is_neither() -> None:
    """It was acknowledged, and is in the quarantine."""
    found = balance(day(9, refused=1), Mark(8, 10, 0), Today(0, 10, ()), None)

    assert found
    assert (found.refused, found.repeats, found.under_way) == (1, 0, 0)


def test_counts_of_two_days_never_meet() -> None:
    """Right after midnight there is no balance."""
    assert balance(day(1), Mark(8, 1, 0), Today(86_400_000, 1, ()), None) is None


def test_a_topic_made_anew_is_told() -> None:
    """With fewer records than events, no sum would be correct."""
    assert balance(day(10), Mark(8, 3, 0), Today(0, 3, ()), None) is None


@given(st.integers(0, 4_000_000_000_000))
def test_what_is_settled_lies_a_little_back_and_in_the_day(now_ms: int) -> None:
    """Late enough for a healthy loader, recent enough to look current; equal for simultaneous queries."""
    start_ms, end_ms = midnight_ms(now_ms), settled_ms(now_ms)

    assert start_ms % 86_400_000 == 0
    assert start_ms <= end_ms <= now_ms
    assert end_ms == start_ms or 2_000 <= now_ms - end_ms < 4_000
    assert end_ms % 2_000 == 0
