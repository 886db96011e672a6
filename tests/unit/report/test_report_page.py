"""A week's numbers become one self-contained page, and no value becomes markup."""

import re
from datetime import date
from typing import Any

from deploy.report.page import page
from deploy.report.week import _QUERIES, Week

HOSTILE = "<script>alert(1)</script>$x^2$"
NUMBERS: dict[str, list[list[Any]]] = {
    "devices": [["2026-11-23", 12, 3, 40]],
    "devices_before": [[32, 0]],
    "sessions": [["2026-11-23", HOSTILE, 30, 3]],
    "sessions_before": [[0, 0]],
    "funnel": [[10, 8, 4, 2, 1]],
    "revenue": [["2026-11-23", HOSTILE, 12.5], ["2026-11-24", "EUR", 1.0]],
    "money": [[HOSTILE, 2, "1234.5", "617.25", "0"]],
    "matches": [["device", 1], [HOSTILE, 1], ["none", 1]],
    "products": [[HOSTILE, 8, 4, 1], ["unseen", 0, 1, 0]],
    "pushes": [[HOSTILE, 5, 2, 1]],
    "touches": [[HOSTILE, 1, 1]],
    "carts": [["EUR", 2, "60"]],
    "retention": [["2026-11-16", 0, 10, 1.0], ["2026-11-16", 1, 4, 0.4]],
}
NOTHING: dict[str, list[list[Any]]] = {
    name: [[0, 0, 0, 0, 0]] if name == "funnel" else [[0, 0]] if name.endswith("_before") else []
    for name in NUMBERS
}


def made(rows: dict[str, list[list[Any]]], app: str = "shop") -> str:
    """Return the page of a week."""
    return page(Week(app, date(2026, 11, 23), dict(rows)))


def test_every_query_has_numbers_here() -> None:
    """So that these tests cover all."""
    assert set(_QUERIES) == set(NUMBERS)


def test_no_value_becomes_markup() -> None:
    """Neither as text nor in a plot; and a dollar sign starts no formula."""
    text = made(NUMBERS, HOSTILE)

    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;$x^2$") >= 5


def test_the_page_needs_nothing_else() -> None:
    """It fetches nothing, and each id occurs once."""
    text = made(NUMBERS)
    ids = re.findall(r'\bid="([^"]+)"', text)

    assert not re.search(r'(?:src|href)="(?!#)', text.replace("data:image", "#data:image"))
    assert len(set(re.findall(r"url\(#(\w+)\)", text)) - set(ids)) == 0
    assert text.count("<svg ") == 5
    assert made(NUMBERS) == text


def test_numbers_are_those_of_the_week() -> None:
    """Shares and changes are computed from them."""
    text = made(NUMBERS)

    for words in ("1,234.50", "617.25", "+25% on the week before", "10.0%", "50.0%", "no week before"):
        assert words in text


def test_a_week_without_anything_is_a_page_too() -> None:
    """With a text where there are no rows."""
    assert made(NOTHING).count("None this week.") == 6
