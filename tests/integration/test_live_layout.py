"""The page's layout and words for chosen states, in a real browser: no process runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from consumers.live.answers import (
    BUCKET_MS,
    BUCKETS,
    WINDOW_MS,
    AuditedAction,
    ClickHouseStatus,
    EventType,
    Funnel,
    KafkaStatus,
    QuarantineGroup,
    QuarantineSummary,
    Revenue,
    ShopSummary,
    Total,
    Window,
)
from consumers.live.intake import IngestStatus, SpoolStatus
from consumers.live.page_state import ALL, PageState
from consumers.live.queries import window
from consumers.live.state import (
    CLICKHOUSE,
    INGEST,
    KAFKA,
    Balance,
    Component,
    ComponentHealth,
    EventLine,
    Freshness,
    Lag,
    PageSnapshot,
    PartitionLag,
    Replay,
)
from runtime.kafka import topics
from tests.support.browser import DESKTOP, NO_BROWSER, PATH, PHONE, chromium, opened, violations

if PATH is None:
    pytest.skip(NO_BROWSER, allow_module_level=True)

NOW_MS = 1_800_000_000_000
STATIC = Path(str(files("consumers.live"))) / "static"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser; each test has its own profile in it."""
    with chromium() as running:
        yield running


@contextmanager
def shown(browser: Browser, state: PageSnapshot, size: tuple[int, int]) -> Iterator[Page]:
    """Yield the page in this state."""
    text = msgspec.json.encode(state)
    stream = b"event: state\ndata: " + text + b"\n\n"

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix("http://page.test/")
        if name == "events":
            route.fulfill(content_type="text/event-stream", body=stream)
        elif name == "api/snapshot":  # the stream has ended
            route.fulfill(content_type="application/json", body=text)
        else:
            route.fulfill(path=STATIC / (name or "index.html"))

    with opened(browser, "about:blank", size) as page:
        page.route("http://page.test/**", answer)
        page.goto("http://page.test/")
        yield page


def widest() -> PageSnapshot:
    """Return a state whose numbers and texts are as long as they get."""
    many, buckets, name = 123_456_789_012, (1_234_567,) * BUCKETS, "W" * 80
    empty = (None,) * BUCKETS
    return PageSnapshot(
        NOW_MS,
        1000,
        Freshness(999_000_000_000, NOW_MS),
        tuple(Component(one, ComponentHealth.DOWN, "W" * 200, 0) for one in ALL),
        Window(
            NOW_MS - WINDOW_MS, NOW_MS, BUCKET_MS, many, 123_456_789.0, buckets,
            (EventType(name, many, buckets),), many, 9_999_999, 9_999_999, empty, empty,
        ),
        Total(many, 1, NOW_MS),
        Balance(NOW_MS, many, many, many, many, many, many, many, NOW_MS),
        QuarantineSummary(many, many, (QuarantineGroup("W" * 200, "/" + "W" * 199, "W" * 200, many, many, 0,
                                                       "W" * 300, "none"),), NOW_MS),
        ShopSummary(
            "2027-01-15", "America/Argentina/ComodRivadavia",
            (Funnel("2027-01-15", name, *[many] * 5), Funnel("2027-01-15", f"{name}2", *[many] * 5)),
            (Revenue("2027-01-15", name, "W" * 20, many, "1234567890123456.78", many),), NOW_MS,
        ),
        (AuditedAction("1", NOW_MS, "W" * 40, "W" * 20, "W" * 100, many, "W" * 300),),
        {},
        Lag(many, tuple(PartitionLag(topics.EVENTS, number, many) for number in range(12)), NOW_MS),
        SpoolStatus(many, many, many, 1, NOW_MS),
        ("W" * 300,),
        (EventLine("0-1", NOW_MS, name, name, "W" * 40),),
        Replay("W" * 200, "W" * 200, "W" * 200, many, many, many, 0, NOW_MS, "stays", ("W" * 300,)),
    )  # fmt: skip


def test_the_widest_numbers_and_texts_fit_on_a_phone(browser: Browser) -> None:
    """A busy shop's revenue, a type or an app with a long name: nothing exceeds the screen."""
    with shown(browser, widest(), PHONE) as page:
        expect(page.locator("#revenue-rows tr")).to_have_count(1)
        page.locator("#types button").first.click()

        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_problems_of_topics_are_notices(browser: Browser) -> None:
    """In ingest's own text."""
    page_state = PageState(ALL, NOW_MS, 1000)
    problems = ("tapcart.events has one replica. Give it three replicas, or set flush.messages=1.",)
    spool = SpoolStatus(0, 0, 10, None, 0)
    page_state.saw(INGEST, IngestStatus("accepts events", spool, 0, problems), NOW_MS)

    with shown(browser, page_state.state(NOW_MS), DESKTOP) as page:
        expect(page.locator("#notices")).to_contain_text(problems[0])


def test_the_first_view_says_what_to_do(browser: Browser) -> None:
    """Before the first event: the next steps, and nothing of the secret."""
    page_state = PageState(ALL, NOW_MS, 1000)
    nothing = window([(1, 1, "", 0, 0, 0, ([], []), (0.0, 0.0))], ["AppOpened"], NOW_MS)
    empty = ClickHouseStatus(nothing, Total(0, None, 0), quarantine=QuarantineSummary(0, 0, (), 0))
    page_state.saw(CLICKHOUSE, empty, NOW_MS)
    page_state.saw(KAFKA, KafkaStatus((), 1, None, 0), NOW_MS)
    page_state.saw(INGEST, IngestStatus("accepts events", SpoolStatus(0, 0, 10, None, 0), 0), NOW_MS)

    with shown(browser, page_state.state(NOW_MS), PHONE) as page:
        expect(page.get_by_role("heading", name="No events yet")).to_be_visible()
        expect(page.locator("#empty")).to_contain_text("make demo")
        expect(page.locator("#rate-chart")).to_be_hidden()

        assert violations(page) == ""
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_audit_trail_says_what_it_counts(browser: Browser) -> None:
    """Day and clock are of one time zone: near midnight, a UTC day beside a local clock is a day off."""
    step = AuditedAction("1", NOW_MS, "export", "done", "anna@laptop", 1, "1 x device_id")
    tokens = msgspec.structs.replace(step, audit_id="2", action="tokens", count=2)
    state = msgspec.structs.replace(widest(), audit=(step, tokens))
    with shown(browser, state, DESKTOP) as page:
        lines = page.locator("#audit li")
        zone = "Intl.DateTimeFormat('sv-SE', {dateStyle: 'short', timeStyle: 'medium'})"
        local = page.evaluate(f"{zone}.format({NOW_MS})")

        expect(lines).to_have_count(2)
        expect(lines.nth(0)).to_contain_text("done: 1 row")
        expect(lines.nth(1)).to_contain_text("done: 2 tokens")
        expect(lines.nth(0).locator(".name")).to_have_text(local)
