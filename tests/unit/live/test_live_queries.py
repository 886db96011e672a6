"""From ClickHouse's rows to the page's numbers."""

from consumers.live import queries
from consumers.live.state import BUCKET_MS, BUCKETS

NOW = 1_800_000_007_000
NO_DELAYS = (float("nan"), float("nan"))


def test_the_window_is_whole_buckets_up_to_now() -> None:
    """It starts at a full bucket, covers now, and is at most one bucket short of 15 minutes."""
    for now_ms in range(NOW, NOW + 2 * BUCKET_MS, 997):
        start_ms = queries.window_parameters(now_ms)["start_ms"]

        assert start_ms % BUCKET_MS == 0
        assert start_ms + (BUCKETS - 1) * BUCKET_MS <= now_ms < start_ms + BUCKETS * BUCKET_MS


def test_known_types_keep_their_place_and_unknown_ones_follow() -> None:
    """A page whose rows jump cannot be read; a type without events is shown with zero."""
    rows = [
        (1, "", 7, 3, ([0, 59], [4, 3]), (100.4, 900.6)),
        (0, "Zeta", 4, 0, ([0], [4]), (1.0, 1.0)),
        (0, "AppOpened", 2, 2, ([59], [2]), (1.0, 1.0)),
        (0, "Alpha", 1, 1, ([59], [1]), (1.0, 1.0)),
    ]
    window = queries.window(rows, ["AppInstalled", "AppOpened"], NOW)

    assert [(t.event_type, t.count) for t in window.types] == [
        ("AppInstalled", 0),
        ("AppOpened", 2),
        ("Alpha", 1),
        ("Zeta", 4),
    ]
    assert (window.count, window.per_second, window.other) == (7, 3 / 60, 0)
    assert (window.buckets[0], window.buckets[59], sum(window.buckets)) == (4, 3, 7)
    assert (window.delay_p50_ms, window.delay_p99_ms) == (100, 901)


def test_types_beyond_the_limit_are_counted_together() -> None:
    """Whoever sends a thousand invented types cannot make the page a thousand rows long."""
    rows = [
        (1, "", 10, 0, ([0], [10]), (1.0, 1.0)),
        (0, "AppOpened", 8, 0, ([0], [8]), (1.0, 1.0)),
    ]

    assert queries.window(rows, ["AppOpened"], NOW).other == 2


def test_an_empty_window_has_no_delay() -> None:
    """The median of nothing is not a number."""
    window = queries.window([(1, "", 0, 0, ([], []), NO_DELAYS)], ["AppOpened"], NOW)

    assert (window.count, window.delay_p50_ms, window.delay_p99_ms) == (0, None, None)


def test_no_event_has_no_newest_one() -> None:
    """max() of nothing is 1970, which is not when the last event came."""
    assert queries.total([(0, 0)], NOW).newest_received_at_ms is None
    assert queries.total([(2, 5)], NOW).newest_received_at_ms == 5
