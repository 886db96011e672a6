"""The page of all schemas: complete, current, and harmless for any text."""

import json
from html.parser import HTMLParser

import pytest

from schemas.__main__ import main
from schemas.catalog.catalog import HERE, Catalog
from schemas.catalog.columns import columns
from schemas.catalog.page import FILE, page
from tests.unit.schemas.tree import OPENED, Tree, faults


class Cells(HTMLParser):
    """The texts of a page's cells, and its open tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        """Push the tag."""
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        """Check that tags are closed in order."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Add text to the cell."""
        if "td" in self.open:
            self.cells[-1] += f" {data}"


def test_the_committed_page_is_current() -> None:
    """Releasing a schema includes committing its page."""
    assert (HERE / FILE).read_text() == page(Catalog.load())


def test_every_field_and_column_is_there(catalog: Catalog) -> None:
    """With its type in ClickHouse and its meaning."""
    found = Cells(page(catalog))
    words = set("\n".join(found.cells).split())

    assert found.open == []
    for release in catalog.newest_releases():
        for column in columns(release.schema["fields"]):
            assert column.name in words
    assert " event_properties.cart_total_amount  Nullable(Decimal(18, 4))" in "\n".join(found.cells)


def test_texts_are_no_markup(tree: Tree) -> None:
    """Docs and member names may contain a sender's text."""
    schema = tree.schema()
    odd = {"name": "odd", "member": "<script>", "type": ["null", "string"], "default": None}
    schema["fields"].insert(-1, odd | {"doc": "</td><script>alert(1)</script> & more"})
    tree.release("avro/mobile/AppOpened/5_1_0.avsc", schema)
    text = page(Catalog.load(tree.root))

    assert "<script" not in text
    assert any("</td><script>alert(1)</script> & more" in cell for cell in Cells(text).cells)


def test_a_page_that_is_not_current_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """If it exists; `docs` creates it."""
    assert main(["docs", "--root", str(tree.root)]) == 0
    assert main(["check", "--root", str(tree.root)]) == 0
    capsys.readouterr()
    schema = tree.schema()
    schema["doc"] = "Other words."
    tree.rewrite(OPENED, json.dumps(schema))

    assert faults(tree, capsys) == ["schemas.html: outdated: run `python -m schemas docs`"]
