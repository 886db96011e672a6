"""Every reference to a page of the docs, in pages and in code, leads to a file and a heading that exist."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


_ENDS = (".py", ".md", ".yml", ".yaml", ".html", ".js", ".sh", ".toml", "Makefile", "run")
_OTHERS = frozenset({"CONFIGURATION.md", "INTRODUCTION.md"})  # librdkafka's
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()
FILES = {name for name in TRACKED if (ROOT / name).is_file()}
PAGES = sorted(name for name in FILES if name.endswith(".md"))
_MENTION = re.compile(r"(?<![\w/.-])((?:[\w-]+/)*[\w-]+\.md)\b")
_CITED = re.compile(r'([\w/.-]+\.md), "([^"]+)"|"([^"]+)" in ([\w/.-]+\.md)')
_CHARS_MAX = 119


def headings(page: str) -> set[str]:
    """Return the texts of a page's headings."""
    return {
        match.strip() for match in re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), flags=re.MULTILINE)
    }


def anchors(page: str) -> set[str]:
    """Return the anchors that a page's headings get."""
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings(page)}


def found(mention: str) -> str:
    """Return the file of that name, or of a path that ends so; empty: there is none."""
    if mention in FILES:
        return mention
    return next((name for name in PAGES if name.endswith(f"/{mention}")), "")


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    """To a file or a folder, and to one of its headings."""
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", (ROOT / page).read_text()):
        target = (ROOT / page).parent / path if path else ROOT / page

        assert target.exists(), path
        if anchor:
            assert anchor in anchors(str(target.resolve().relative_to(ROOT)))


def test_pages_named_anywhere_exist() -> None:
    """In docstrings, comments, messages and pages; the history may name what is gone."""
    missing = {
        f"{name}: {mention}"
        for name in FILES - {"CHANGELOG.md"}
        if name.endswith(_ENDS)
        for mention in _MENTION.findall((ROOT / name).read_text())
        if mention not in _OTHERS and not found(mention)
    }

    assert not missing


def test_headings_cited_anywhere_exist() -> None:
    """Where a page is cited with the heading in quotes."""
    missing = set()
    for name in FILES:
        if name.endswith(_ENDS):
            text = re.sub(r"\s*\n\s*(?:# )?", " ", (ROOT / name).read_text())
            for page, heading, heading_before, page_after in _CITED.findall(text):
                cited = found(page or page_after)
                if cited and (heading or heading_before) not in headings(cited):
                    missing.add(f"{name}: {cited}, {heading or heading_before}")

    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if not page.endswith("/RESULTS.md")])
def test_lines_of_a_page_are_short(page: str) -> None:
    """Under 120 characters, also in tables; pictures and code cannot be wrapped; tools write the RESULTS."""
    prose = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    long = [
        line for line in prose.splitlines() if len(line) > _CHARS_MAX and not line.startswith(("    ", "!["))
    ]

    assert not long


def defined(path: str) -> set[str]:
    """Return the names that a module defines; `Class.method` for those in a class."""
    names: set[str] = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name):
                inner = (one for one in node.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
                names |= {name, *(f"{name}.{one.name}" for one in inner)}
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return names


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_names_in_a_walk_or_a_recipe_are_defined(page: str) -> None:
    """Written as `path.py`: `name`, `Class.method`."""
    text = " ".join((ROOT / page).read_text().split())
    cited = re.findall(r"`([\w/]+\.py)`: (`[\w.]+`(?:, `[\w.]+`(?!: ))*)", text)

    assert len(cited) > 10
    for path, names in cited:
        assert path in FILES
        assert set(re.findall(r"`([\w.]+)`", names)) <= defined(path), path


def test_paths_in_pages_exist() -> None:
    """Written in backticks, from the root; a name in capitals stands for the reader's own."""
    missing = {
        f"{page}: {path}"
        for page in PAGES
        if page in {"README.md", "CONTRIBUTING.md"} or page.startswith(("docs/", "deploy/"))
        for path in re.findall(
            r"`((?:[\w-]+/)+[\w-]+\.(?:py|sql|yml|js|html|css|json))`", (ROOT / page).read_text()
        )
        if path not in FILES and "NAME" not in path
    }

    assert not missing


def test_every_page_is_linked() -> None:
    """A page that no other page links to is not found."""
    linked = {
        ((ROOT / page).parent / path).resolve()
        for page in PAGES
        for path in re.findall(r"\]\((?!https?:)([^)#\s]+)", (ROOT / page).read_text())
    }

    assert not [page for page in PAGES if page.startswith("docs/") and (ROOT / page) not in linked]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_layers_in_a_page_are_those_of_the_linter(page: str) -> None:
    """From the lowest to the highest; the page says the same as import-linter's first contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    assert f"`{' <- '.join(reversed(contracts[0]['layers']))}`" in (ROOT / page).read_text()


@pytest.mark.parametrize("record", [page for page in PAGES if re.search(r"decisions/\d{4}-", page)])
def test_a_decision_has_its_parts(record: str) -> None:
    """Why there was a choice, and what was chosen; numbers and rejected alternatives where there are some."""
    text = (ROOT / record).read_text()

    assert "**Context.**" in text
    assert "**Decision" in text
    assert f"({Path(record).name})" in (ROOT / "docs/decisions/README.md").read_text()
