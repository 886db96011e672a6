"""The live page in a real browser: its numbers are SQL's, its controls work, and nothing injects."""

import json
import re
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from deploy.demo.samples import FOLDER
from tests.support.browser import DESKTOP, NO_BROWSER, PATH, PHONE, Scheme, chromium, opened, violations
from tests.support.hostile import HOSTILE as UNREADABLE
from tests.support.hostile import is_harmless
from tests.support.live import Live, event, hanging, post, settled, sql, within_a_day
from tests.support.quarantine import quarantine
from tests.support.stack import Stack
from tests.support.waiting import eventually, patience
from tests.support.web import WEB

if PATH is None:
    pytest.skip(NO_BROWSER, allow_module_level=True)

HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
# A browser's message about a stream that ended.
CUT = r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser; each test has its own profile in it."""
    with chromium() as running:
        yield running


@pytest.fixture(autouse=True)
def _day() -> None:
    """The page's numbers of today stay those of one day."""
    within_a_day()


@pytest.fixture(scope="module")
def live(stack: Stack) -> Iterator[Live]:
    """A live page of this module, and events to show."""
    post(stack, *(event(path.stem) for path in FOLDER.glob("*.json")))
    page = Live(stack)
    yield page
    assert page.stop() == 0


def number(of: Locator) -> int:
    """Return a number as shown."""
    return int((of.text_content() or "").replace(",", ""))


def group(page: Page, reason: str, pointer: str) -> Locator:
    """Return one fault of the quarantine."""
    return page.locator("#groups > li").filter(has_text=re.compile(f"^{reason}{pointer}"))


def is_live(page: Page) -> None:
    """Wait until the page is connected and shows no problem."""
    expect(page.locator("body")).to_have_attribute("data-connection", "live")
    expect(page.locator("#notices > *")).to_have_count(0)


@contextmanager
def restarted(live: Live) -> Iterator[None]:
    """Restart the page's process at the end, whatever the test did to it."""
    try:
        yield
    finally:
        if live.process.poll() is not None:
            live.start()


def test_the_numbers_are_those_of_sql(stack: Stack, live: Live, browser: Browser) -> None:
    """Key figures, types, the balance, and the quarantine, as a reader sees them."""
    twice = event("AppOpened")
    post(stack, twice, event("ProductViewed"), event("ProductViewed"))
    assert WEB.post(stack.ingest_url, content=twice).status_code == 200
    assert WEB.post(stack.ingest_url, content=b"{").status_code == 400
    state = settled(live)
    today = f"received_at >= fromUnixTimestamp64Milli({state['balance']['start_ms']}, 'UTC')"
    since = f"received_at >= fromUnixTimestamp64Milli({state['window']['start_ms']}, 'UTC')"
    events = int(sql(stack, f"SELECT count() FROM tapcart.events WHERE {today}"))
    viewed = int(sql(stack, f"SELECT count() FROM tapcart.product_viewed WHERE {since}"))
    waiting = int(sql(stack, "SELECT count() FROM tapcart.quarantine WHERE replayed_at IS NULL"))
    with opened(browser, live.url) as page:
        is_live(page)
        expect(page.locator("#balance-parts tr").first).to_have_text(f"In ClickHouse{events:,}")
        parts = [number(cell) for cell in page.locator("#balance-parts td").all()]

        assert number(page.locator("#balance-sum")) == sum(parts)
        expect(page.locator("#acknowledged")).to_have_text(f"{sum(parts):,}")
        row = page.locator("#types tr", has_text="ProductViewed")
        expect(row.locator("td.number")).to_have_text(f"{viewed:,}")
        expect(page.locator("#waiting")).to_have_text(f"{waiting:,}")
        expect(page.locator("#freshness")).to_have_text("0 s")
        expect(page.locator("#health > .up")).to_have_count(5)
        assert all(number(lag) == 0 for lag in page.locator(".cells .lag").all())


def test_funnel_and_revenue_are_those_of_the_views(stack: Stack, live: Live, browser: Browser) -> None:
    """Of all apps, and of the selected one; currencies are not added together."""
    now_ms = live.snapshot()["now_ms"]
    purchase = json.loads(event("PurchaseCompleted", timestamp=now_ms))
    purchase["event_properties"]["checkout_id"] = f"{now_ms}"  # the sample's order is of another day
    post(stack, event("AppOpened", timestamp=now_ms), json.dumps(purchase).encode())
    post(stack, event("AppOpened", timestamp=now_ms, app_id="another"))
    day = "day = toDate(now('UTC'))"
    opened_by = f"SELECT sum(opened) FROM tapcart.funnel_daily WHERE {day}"
    orders = (
        f"SELECT currency_code, sum(orders) FROM tapcart.revenue_daily WHERE {day} GROUP BY currency_code"
    )
    assert sql(stack, orders)
    with opened(browser, live.url) as page:
        expect(page.locator("#funnel-steps tr").first).to_contain_text(f"{int(sql(stack, opened_by)):,}")
        for line in sql(stack, orders).splitlines():
            currency, count = line.split("\t")
            row = page.locator("#revenue-rows tr", has_text=currency)
            expect(row.locator("td").first).to_have_text(f"{int(count):,}")
        expect(page.locator("#revenue-lead")).to_contain_text("reported only by the app or only by the shop")
        page.locator("#shop-app").select_option("another")
        expect(page.locator("#funnel-steps tr").first).to_contain_text("Opened the app1")
        expect(page.locator("#revenue-lead")).to_contain_text("No orders today")


def test_hostile_values_stay_text(stack: Stack, live: Live, browser: Browser) -> None:
    """In a line, a type, an app, a field, a name of a field, a fault and a sample."""
    sample: dict[str, Any] = json.loads(event("ProductViewed"))
    sample["event_properties"] |= {"product_title": HOSTILE, HOSTILE: HOSTILE}
    post(stack, event("AppOpened", event_type=HOSTILE), json.dumps(sample | {"app_id": HOSTILE}).encode())
    quarantine(stack, HOSTILE.encode(), reason=HOSTILE, detail=HOSTILE, pointer=f"/{HOSTILE}")
    with opened(browser, live.url) as page:
        expect(page.locator("#types")).to_contain_text("<img src=x onerror=")
        page.locator("#newest summary", has_text="<img src=x").first.click()
        expect(page.locator(".fields")).to_contain_text(HOSTILE)
        fault = page.locator("#groups > li", has_text=HOSTILE).first
        fault.locator("summary").click()
        expect(fault.locator("pre")).to_have_text(HOSTILE)
        fault.get_by_role("button").click()
        expect(page.locator("#ask-what")).to_contain_text(HOSTILE)

        assert page.title() == "Tapline live"
        assert page.locator("main img, main script, main iframe, dialog img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_nobody_could_read_is_shown_by_its_code(stack: Stack, live: Live, browser: Browser) -> None:
    """Controls, direction changes and invisible characters, wherever the page shows an event's text."""
    sample: dict[str, Any] = json.loads(event("ProductViewed"))
    sample["event_properties"] |= {"product_title": UNREADABLE, UNREADABLE: UNREADABLE, "cut": "\ud83d"}
    order = event("OrderCreated", app_id=UNREADABLE, timestamp=time.time_ns() // 1_000_000)
    post(stack, event("AppOpened", event_type=UNREADABLE), order)
    post(stack, json.dumps(sample | {"app_id": UNREADABLE}).encode())
    quarantine(
        stack, f'{{"cut": "\\ud83d", "x": "{UNREADABLE}'.encode(), reason=UNREADABLE, detail=UNREADABLE,
        pointer=f"/{UNREADABLE}",
    )  # fmt: skip
    with opened(browser, live.url) as page:
        expect(page.locator("#types")).to_contain_text("A\\u001b[2J")
        expect(page.locator("#shop-app")).to_contain_text("A\\u001b[2J")
        page.locator("#newest summary", has_text="u001b").first.click()
        expect(page.locator(".fields dd").first).to_be_visible()
        fault = page.locator("#groups > li", has_text="u001b").first
        fault.locator("summary").click()
        expect(fault.locator("pre")).to_contain_text("\\u202egpj")
        expect(fault.locator("pre")).to_contain_text("cut")
        fault.get_by_role("button").click()
        expect(page.locator("#ask-what")).to_contain_text("u001b")

        assert is_harmless(page.evaluate("document.documentElement.textContent"))
        labels = "[...document.querySelectorAll('[aria-label]')].map((one) => one.ariaLabel).join()"
        assert is_harmless(page.evaluate(labels))


def test_an_event_opens_to_its_fields_and_stays_while_it_is_read(
    stack: Stack, live: Live, browser: Browser
) -> None:
    """In full, except for personal data; meanwhile the page announces new events."""
    app = f"app-{uuid.uuid4().hex[:10]}"  # other tests' events may be newer
    sent = json.loads(event("PurchaseCompleted", app_id=app))
    post(stack, json.dumps(sent).encode())
    with opened(browser, live.url) as page:
        line = page.locator("#newest li", has_text=app).first
        line.locator("summary").click()
        expect(line.locator(".fields")).to_contain_text(sent["event_id"])
        expect(line.locator(".fields")).to_contain_text(sent["event_properties"]["checkout_id"])
        post(stack, event("AppOpened"), event("AppOpened"))
        expect(page.locator("#newest-paused")).to_contain_text("2 new events")

        assert sent["device_id"] not in page.content()
        assert sent["event_properties"]["purchase_zip"] not in line.inner_text()
        page.get_by_role("button", name="Show them").click()
        expect(page.locator("#newest li").first).to_contain_text("AppOpened")
        expect(page.locator("#newest-paused")).to_be_hidden()


def test_replay_from_the_button_to_the_table(stack: Stack, live: Live, browser: Browser) -> None:
    """It asks for confirmation; accepted bodies become events, rejected ones are reported."""
    good = [json.loads(event("OrderCreated")) for _ in range(3)]
    for body in good:
        quarantine(stack, json.dumps(body).encode(), reason="old_rule", pointer="/order")
    quarantine(stack, event("OrderCreated", timestamp=17), reason="old_rule", pointer="/order")
    ids = ", ".join(f"'{body['event_id']}'" for body in good)
    orders = f"SELECT count() FROM tapcart.order_created WHERE event_id IN ({ids})"
    with opened(browser, live.url) as page:
        button = group(page, "old_rule", "/order").get_by_role("button")
        expect(button).to_have_text("Replay 4…")
        button.click()
        page.get_by_role("button", name="Cancel").click()
        assert live.snapshot()["replay"] is None
        button.click()
        expect(page.locator("#ask")).to_contain_text("Replay 4 bodies?")
        page.locator("#ask").get_by_role("button", name="Replay 4").click()
        expect(page.locator("#replay-title")).to_contain_text("Some were rejected again.")
        expect(page.locator("#replay-text")).to_contain_text("3 replayed, 1 rejected again")
        expect(page.locator("#replay-words")).to_contain_text("422 /timestamp")
        expect(group(page, "old_rule", "/order").get_by_role("button")).to_have_text("Replayed")
        expect(group(page, "old_rule", "/order").get_by_role("button")).to_be_disabled()

    assert eventually(lambda: sql(stack, orders) == "3\n")


@pytest.mark.slow
def test_says_what_is_away_and_recovers(stack: Stack, live: Live, browser: Browser) -> None:
    """ClickHouse killed, Kafka hanging, the page's own process killed: each is shown, without a reload."""
    notices = "#notices"
    with opened(browser, live.url, PHONE, expected_errors=CUT) as page, restarted(live):
        is_live(page)
        stack.kill("clickhouse", signal.SIGKILL)
        expect(page.locator(notices)).to_contain_text("ClickHouse: does not answer")
        is_live(page)
        with hanging(stack, "kafka"):
            expect(page.locator(notices)).to_contain_text("Kafka: ")
            expect(page.locator("#strip .down")).to_contain_text("Kafka")
            assert WEB.post(stack.ingest_url, content=event("AppOpened"), timeout=10).status_code == 200
            expect(page.locator("#spool-text")).to_contain_text("record")
        is_live(page)
        expect(page.locator("#spool-text")).to_contain_text("Spool: empty")
        live.process.kill()
        live.process.wait(10 * patience())
        expect(page.locator(notices)).to_contain_text("Disconnected")
        expect(page.locator("#strip .down", has_text="live")).to_be_visible()
        assert page.title() == "Tapline live (disconnected)"
        live.start()
        is_live(page)
        assert page.title() == "Tapline live"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_everybody_can_read_it(
    stack: Stack, live: Live, browser: Browser, size: tuple[int, int], scheme: Scheme
) -> None:
    """With everything open, axe finds nothing against WCAG A and AA, and nothing exceeds the screen."""
    assert WEB.post(stack.ingest_url, content=event("AppOpened", app_id="")).status_code == 422
    with opened(browser, live.url, size, scheme) as page:
        is_live(page)
        page.locator("#types button").first.click()
        page.locator("#newest summary").first.click()
        page.locator("#groups summary").first.click()
        page.locator("footer summary").click()
        expect(page.locator(".fields dd").first).to_be_visible()

        assert violations(page) == ""
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.getAnimations().length") == 0
        page.locator("#groups button:enabled").first.click()
        assert violations(page) == ""


def test_everything_can_be_done_by_keyboard(stack: Stack, live: Live, browser: Browser) -> None:
    """Tab reaches each control in page order; Enter opens, Escape closes, and focus returns."""
    assert WEB.post(stack.ingest_url, content=event("AppOpened", event_id="")).status_code == 422
    with opened(browser, live.url) as page:
        is_live(page)
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the numbers")).to_be_focused()
        page.locator("#types button").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#types button").first).to_have_attribute("aria-pressed", "true")
        page.locator("#newest summary").first.focus()
        page.keyboard.press("Enter")
        expect(page.locator(".fields dd").first).to_be_visible()
        button = page.locator("#groups button:enabled").first
        button.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Cancel")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator("#ask")).to_be_hidden()
        expect(button).to_be_focused()
