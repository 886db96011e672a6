"""ClickHouse's rows -> the page's numbers."""

from typing import Any

from consumers.live import queries
from consumers.live.answers import BUCKET_MS, BUCKETS

NOW = 1_800_000_007_000
Row = tuple[Any, ...]
Delays = tuple[float, float]
NO_DELAYS = (float("nan"), float("nan"))


def test_the_window_is_whole_buckets_up_to_now() -> None:
    """It starts with a full bucket, includes now, and is at most one bucket short of 15 minutes."""
    for now_ms in range(NOW, NOW + 2 * BUCKET_MS, 997):
        start_ms = queries.window_parameters(now_ms)["start_ms"]

        assert start_ms % BUCKET_MS == 0
        assert start_ms + (BUCKETS - 1) * BUCKET_MS <= now_ms < start_ms + BUCKETS * BUCKET_MS


def test_today_is_that_of_the_time_zone() -> None:
    """The analytics views count its days."""
    assert queries.days(NOW, "UTC")["today"] == "2027-01-15"
    assert queries.days(NOW, "Asia/Tokyo") == {"today": "2027-01-15", "yesterday": "2027-01-14"}
    assert queries.days(NOW + 8 * 3_600_000, "Asia/Tokyo")["today"] == "2027-01-16"


def row(
    kind: str, name: object, events: int, *, recent: int = 0, delays: tuple[float, float] = (1.0, 1.0)
) -> Row:
    """Return a row of the window: of "all", of a "type" at bucket 0, or of a "bucket"."""
    bucket = name if kind == "bucket" else 0
    return (
        int(kind != "type"), int(kind != "bucket"), name if kind == "type" else "", bucket,
        events, recent, ([0], [events]) if events else ([], []), delays,
    )  # fmt: skip


def test_known_types_keep_their_place_and_unknown_ones_follow() -> None:
    """Rows must not move while they are read; a type without events is shown with zero."""
    rows = [
        row("all", "", 7, recent=3, delays=(100.4, 900.6)),
        row("type", "Zeta", 4),
        row("bucket", 0, 7, delays=(3.0, 4.0)),
        row("type", "AppOpened", 2),
        row("type", "Alpha", 1),
    ]
    window = queries.window(rows, ["AppInstalled", "AppOpened"], NOW)

    assert [(t.event_type, t.count) for t in window.types] == [
        ("AppInstalled", 0),
        ("AppOpened", 2),
        ("Alpha", 1),
        ("Zeta", 4),
    ]
    assert (window.count, window.per_second, window.other) == (7, 3 / 60, 0)
    assert (window.buckets[0], sum(window.buckets), len(window.buckets)) == (7, 7, BUCKETS)
    assert (window.delay_p50_ms, window.delay_p99_ms) == (100, 901)
    assert (window.delays_p50_ms[:2], window.delays_p99_ms[:2]) == ((3, None), (4, None))


def test_types_beyond_the_limit_are_counted_together() -> None:
    """A thousand invented types must not make the page a thousand rows long."""
    rows = [row("all", "", 500), *(row("type", f"Type{n}", 5) for n in range(100))]
    window = queries.window(rows, ["AppOpened"], NOW)

    assert len(window.types) == 51
    assert window.other == 250


def test_an_empty_window_has_no_delay() -> None:
    """An empty set has no median."""
    window = queries.window([row("all", "", 0, delays=NO_DELAYS)], ["AppOpened"], NOW)

    assert (window.count, window.delay_p50_ms, window.delay_p99_ms) == (0, None, None)


def test_a_fault_is_told_without_what_names_a_person() -> None:
    """Messages of ClickHouse and ingest may quote the event."""
    rows = [
        (1, "", "", "", 3, 2, 5, "", ""),
        (0, "refused", "", "warehouse", 3, 2, 5, "cannot parse 'ann@example.org'", "AB"),
    ]
    found = queries.quarantine(rows, NOW)

    assert (found.count, found.waiting) == (3, 2)
    assert found.groups[0].detail == "cannot parse 'a…'"


def test_no_event_has_no_newest_one() -> None:
    """max() of no rows is 1970, which is not the time of an event."""
    assert queries.total([(0, 0)], NOW).newest_received_at_ms is None
    assert queries.total([(2, 5)], NOW).newest_received_at_ms == 5


def test_share_of_inserts_is_that_between_two_polls() -> None:
    """It is unknown at the first poll, and after ClickHouse restarted."""
    first = queries.insert_time([(1_000_000, 50_000_000)])
    second = queries.insert_time([(3_000_000, 60_000_000)])

    assert queries.insert_share(first, second) == 0.2
    assert queries.insert_share(None, first) is None
    assert queries.insert_share(second, first) is None
