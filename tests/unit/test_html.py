"""Pages are made by templates that escape every value."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from runtime.html import template
from tests.support.stack import ROOT

HOSTILE = "\"'<script>alert(1)</script>&{{ 7 * 7 }}"


def test_a_value_is_text_wherever_it_stands(tmp_path: Path) -> None:
    """In an attribute, between tags, and with the filter that leaves quotes as they are."""
    (tmp_path / "a.jinja").write_text('<p id="{{ x }}">{{ x|text }}</p>')
    made = template(tmp_path / "a.jinja").render(x=HOSTILE)

    assert made == (
        '<p id="&#34;&#39;&lt;script&gt;alert(1)&lt;/script&gt;&amp;{{ 7 * 7 }}">'
        "\"'&lt;script&gt;alert(1)&lt;/script&gt;&amp;{{ 7 * 7 }}</p>"
    )


def test_a_value_that_is_not_given_is_an_error(tmp_path: Path) -> None:
    """Instead of a gap in the page."""
    (tmp_path / "a.jinja").write_text("{{ x }}")

    with pytest.raises(UndefinedError):
        template(tmp_path / "a.jinja").render()


def test_no_module_joins_markup() -> None:
    """Markup is in templates only."""
    parts = ("runtime", "schemas", "ingest", "consumers", "deploy")
    texts = {path: path.read_text() for part in parts for path in (ROOT / part).rglob("*.py")}

    assert [
        path.name for path, text in texts.items() if re.search(r"</(p|h\d|t[rdh]|div|span|body)>", text)
    ] == []
