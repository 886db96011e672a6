"""`python -m tests.screenshots FOLDER [--minutes 4]` -> a picture of each state of the live page.

Each state is real: a stack of its own, invented shoppers of today, and deliberate faults. Files:
`<state>-<width>-<scheme>.png`.
"""

import argparse
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from playwright.sync_api import Browser, Page, expect

from deploy.demo.generator import Plan, generate
from tests.support.browser import DESKTOP, PHONE, Scheme, chromium, opened
from tests.support.live import event, hanging
from tests.support.quarantine import quarantine
from tests.support.stack import Stack

_PER_SECOND = 15
_DAY_MS = 86_400_000
_VIEWS: list[tuple[tuple[int, int], Scheme]] = [(DESKTOP, "light"), (PHONE, "dark")]
_ANY_ERROR = ""


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(prog="screenshots")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--minutes", type=float, default=4, help="of shoppers before the first picture of them"
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as data, chromium() as browser:
        stack = Stack(Path(data)).start()
        try:
            _take_all(stack, browser, options.folder, options.minutes * 60)
        finally:
            stack.stop()


def _take_all(stack: Stack, browser: Browser, folder: Path, seconds: float) -> None:
    def shot(state: str, before: Callable[[Page], None]) -> None:
        for size, scheme in _VIEWS:
            with opened(browser, stack.live_url, size, scheme, expected_errors=_ANY_ERROR) as page:
                expect(page.locator("body")).to_have_attribute("data-connection", "live")
                before(page)
                time.sleep(1.5)
                name = f"{state}-{size[0]}-{scheme}"
                page.screenshot(path=folder / f"{name}.png", full_page=True)
                page.screenshot(path=folder / f"{name}-top.png")

    shot("empty", lambda page: expect(page.locator("#empty")).to_be_visible())
    _fill_quarantine(stack)
    with _shoppers(stack):
        time.sleep(seconds)
        shot("flowing", lambda page: page.locator("#types button", has_text="ProductViewed").click())
        shot("opened", _open)
        shot("replayed", _replay)
        with hanging(stack, "clickhouse"):
            shot("clickhouse-down", _until("#notices", "ClickHouse: "))
        with hanging(stack, "kafka"):
            shot("kafka-down", _until("#notices", "Kafka: "))
        shot("disconnected", lambda page: _disconnect(stack, page))


def _until(selector: str, text: str) -> Callable[[Page], None]:
    return lambda page: expect(page.locator(selector)).to_contain_text(text)


def _open(page: Page) -> None:
    page.locator("#newest summary").nth(1).click()
    page.locator("#groups summary").first.click()


def _replay(page: Page) -> None:
    button = page.locator("#groups li", has_text="old_rule").first.get_by_role("button")
    if button.is_enabled():
        button.click()
        page.locator("#ask-yes").click()
    expect(page.locator("#replay-title")).to_contain_text("stay")


def _disconnect(stack: Stack, page: Page) -> None:
    pid = stack.kill("live", signal.SIGSTOP)
    try:
        expect(page.locator("#notices")).to_contain_text("Disconnected")
    finally:
        # The page notices within seconds that it is back; the picture is taken before.
        threading.Timer(2.5, os.kill, (pid, signal.SIGCONT)).start()


def _fill_quarantine(stack: Stack) -> None:
    for _ in range(40):
        quarantine(stack, event("OrderCreated"), reason="old_rule", pointer="/event_properties/order_id")
    quarantine(
        stack, event("OrderCreated", timestamp=1), reason="old_rule", pointer="/event_properties/order_id"
    )
    for body in (
        event("AppOpened", event_id=""),
        event("AppOpened", timestamp=17),
        event("CartViewed")[:-9],
    ):
        httpx.post(stack.ingest_url, content=body)


@contextmanager
def _shoppers(stack: Stack) -> Iterator[None]:
    """Run invented shoppers of today, sometimes more of them and sometimes fewer."""
    ended = threading.Event()
    now_ms = time.time_ns() // 1_000_000
    posts = generate(Plan(now_ms // _DAY_MS * _DAY_MS, now_ms, seed=7, events_per_day=60_000))

    def send() -> None:
        with httpx.Client(timeout=30) as client:
            for number, post in enumerate(posts):
                if ended.is_set():
                    return
                client.post(stack.ingest_url, content=post.body)
                ended.wait(1 / _PER_SECOND / (1 + 0.6 * math.sin(number / 350)))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()


if __name__ == "__main__":
    main()
