"""The page's colours and files."""

import re
from hashlib import sha256
from importlib.resources import files

import pytest

STATIC = files("consumers.live") / "static"
CSS = (STATIC / "live.css").read_text()
PANELS = (STATIC / "panels.css").read_text()
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
    ("accent", "ground"),
    ("down", "ground"),
    ("second", "card"),
    ("card", "accent"),
]
# Graphics that carry meaning next to others.
DRAWN = ["accent", "second", "under", "down", "muted", "up", "unknown"]


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read(scheme: dict[str, str], text: str, ground: str) -> None:
    """Contrast is at least 4.5 to 1 (WCAG 2.2, 1.4.3, AA) in both schemes."""
    lighter, darker = sorted((luminance(scheme[text]), luminance(scheme[ground])), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("drawn", DRAWN)
def test_charts_can_be_seen(scheme: dict[str, str], drawn: str) -> None:
    """Contrast is at least 3 to 1 (WCAG 2.2, 1.4.11, AA) in both schemes."""
    lighter, darker = sorted((luminance(scheme[drawn]), luminance(scheme["card"])), reverse=True)

    assert (lighter + 0.05) / (darker + 0.05) >= 3


def test_what_is_vendored_is_what_was_released() -> None:
    """The hashes match the npm package's files, so they are unmodified."""
    folder = STATIC / "vendor"
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    listed = {name: hashed for hashed, name in map(str.split, lines)}
    found = {
        file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.name in listed
    }

    assert found == listed
    assert {"uPlot.iife.min.js", "uPlot.min.css", "LICENSE"} == listed.keys()


def test_nothing_comes_from_elsewhere() -> None:
    """The page needs no other host, so it works without the internet."""
    for file in STATIC.iterdir():
        if file.name.endswith((".html", ".css", ".js")):
            assert not re.search(r"(src|href|url|import|from)\W{1,3}(https?:)?//", file.read_text()), (
                file.name
            )


@pytest.mark.parametrize(
    "rule", ["prefers-color-scheme: dark", "prefers-reduced-motion: no-preference", ":focus-visible"]
)
def test_everybody_is_thought_of(rule: str) -> None:
    """Dark mode, reduced motion, and no mouse."""
    assert rule in CSS


def test_motion_is_only_where_it_is_wanted() -> None:
    """No animation or transition outside of the media query that allows it."""
    allowed = CSS.index("@media (prefers-reduced-motion: no-preference)")

    assert "animation:" not in CSS[:allowed] + PANELS
    assert "transition:" not in CSS[:allowed] + PANELS


def luminance(color: str) -> float:
    """Return the relative luminance of `#rrggbb`. Source: WCAG 2.2."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
