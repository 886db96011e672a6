"""An address -> its page in a real Chromium, as a user sees it; driven by Playwright.

Invariants: uses the system's browser and downloads nothing. A page that logs an error to the console or
violates its own policy fails its test, unless the test expects that.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

PATH = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_BROWSER = "no Chromium on PATH (Debian: apt install chromium): the live page is not tested in one"

DESKTOP, PHONE = (1440, 900), (390, 844)
_SECONDS_MAX = 60
# Violations of the page's policy, recorded from the first script on.
_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""

Scheme = Literal["light", "dark"]

expect.set_options(timeout=_SECONDS_MAX * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Yield a browser without a window."""
    # Root's processes have no sandbox: containers and this project's CI run as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser,
    url: str,
    size: tuple[int, int] = DESKTOP,
    scheme: Scheme = "light",
    expected_errors: str = r"(?!)",
) -> Iterator[Page]:
    """Yield the page at `url`; console errors that do not match `expected_errors` fail the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(_SECONDS_MAX * 1000)
    context.add_init_script(_WATCH)
    page = context.new_page()
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not re.search(expected_errors, message.text):
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(url)
        yield page
        errors += page.evaluate("window.violations")
        assert errors == [], errors
    finally:
        context.close()


def violations(page: Page) -> str:
    """Return axe's violations of WCAG 2.2 A and AA in the current page; empty if there are none."""
    rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = Axe().run(page, options={**rules, "resultTypes": ["violations"]}).response["violations"]
    return "\n".join(
        f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"]
    )
