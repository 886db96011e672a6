"""The page's colours and files, as they lie there."""

import re
from importlib.resources import files

import pytest

CSS = (files("consumers.live") / "static" / "live.css").read_text()
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
)
PAIRS = [
    ("text", "ground"),
    ("text", "card"),
    ("text", "down-soft"),
    ("text", "unknown-soft"),
    ("text", "accent-soft"),
    ("muted", "ground"),
    ("muted", "card"),
    ("up", "card"),
    ("down", "card"),
    ("unknown", "card"),
    ("accent", "card"),
]


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read(scheme: dict[str, str], text: str, ground: str) -> None:
    """Contrast is at least 4.5 to 1 (WCAG 2.2, 1.4.3, AA) in both schemes."""
    lighter, darker = sorted((luminance(scheme[text]), luminance(scheme[ground])), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize(
    "rule", ["prefers-color-scheme: dark", "prefers-reduced-motion: no-preference", ":focus-visible"]
)
def test_everybody_is_thought_of(rule: str) -> None:
    """Dark rooms, people whom motion makes ill, people without a mouse."""
    assert rule in CSS


def test_motion_is_only_where_it_is_wanted() -> None:
    """No animation or transition outside of the media query that allows it."""
    allowed = CSS.index("@media (prefers-reduced-motion: no-preference)")

    assert "animation:" not in CSS[:allowed]
    assert "transition:" not in CSS[:allowed]


def luminance(color: str) -> float:
    """Return the relative luminance of `#rrggbb`. Source: WCAG 2.2."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
