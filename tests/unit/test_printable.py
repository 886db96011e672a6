"""Text from outside is shown without anything that controls a terminal or a reader."""

import json
import logging
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.environment import log_as_json
from runtime.printable import printable, printable_lines
from tests.support.hostile import HOSTILE, is_harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 20 €, 日本　語, 👍", "Größe 20 €, 日本　語, 👍"),
        ("\x1b[2Jx\x9b2J\x07", "\\u001b[2Jx\\u009b2J\\u0007"),
        ("a\nb\r\tc\x85d\u2028e", "a\\u000ab\\u000d\\u0009c\\u0085d\\u2028e"),
        ("gnp\u202e.exe \u2066x\u061c\u200b", "gnp\\u202e.exe \\u2066x\\u061c\\u200b"),
        ("\ud83d \U000e0041", "\\ud83d \\udb40\\udc41"),
        ("x" * 300, "x" * 200 + "…"),
        (None, "None"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: object, shown: str) -> None:
    """Letters of all languages stay; controls, directions, invisibles and surrogates are escaped."""
    assert printable(text) == shown


@given(st.text(st.characters()), st.integers(0, 50))
def test_any_text_is_harmless_and_bounded(text: str, chars_max: int) -> None:
    """It can be printed in any Unicode encoding."""
    for shown in (printable(text, chars_max), printable_lines(text, chars_max)):
        assert is_harmless(shown)
        shown.encode()

    assert len(printable(text, chars_max)) <= 12 * chars_max + 1


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_stays_the_same_json(value: Any) -> None:
    """So files and pipes keep the data as sent."""
    text = json.dumps(value, ensure_ascii=False)

    assert json.loads(printable(text, None)) == value


def test_a_log_line_is_ascii_and_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    """For any sender's text, in names as well as in values."""
    log, handlers = logging.getLogger("tests.printable"), logging.getLogger().handlers
    before, level = [*handlers], logging.getLogger().level
    handlers.clear()
    try:
        log_as_json()
        deep: Any = HOSTILE
        for _ in range(50):
            deep = {HOSTILE: deep}
        log.warning("said", extra={"text": HOSTILE * 100_000, "items": [HOSTILE] * 100_000, "deep": deep})
        log.error("failed", exc_info=ValueError("x" * 1_000_000))
    finally:
        handlers[:] = before
        logging.getLogger().setLevel(level)
        logging.captureWarnings(capture=False)
    said, failed = capsys.readouterr().err.splitlines()

    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 500_000
    assert json.loads(said)["text"].startswith(HOSTILE)
    assert len(failed) < 50_000
    assert "ValueError" in json.loads(failed)["exc_info"]


def test_hostile_texts_are() -> None:
    """The texts used in other tests include one of each kind."""
    kinds = {unicodedata.category(character) for character in HOSTILE}

    assert kinds >= {"Cc", "Cf", "Zl"}
