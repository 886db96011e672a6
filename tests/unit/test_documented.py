"""Every name that users rely on is documented: the generated pages are current, the others name the rest."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from deploy import reference
from ingest.http.answers import TITLES
from runtime import environment
from runtime.kafka import topics

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
TEXT = "".join(path.read_text() for path in PAGES)
WORDS = frozenset(re.findall(r"[\w.]+", TEXT))


def classes_of_settings() -> Iterator[type[BaseModel]]:
    """Return every class that reads the environment."""
    for one in BaseModel.__subclasses__():
        if one.model_config == environment.CONFIG and not one.__module__.startswith("tests."):
            yield one


def test_the_generated_pages_are_current() -> None:
    """`make docs` writes them."""
    assert reference.main(["--check"]) == 0


def test_every_setting_is_in_the_page() -> None:
    """Of every class that reads the environment, in whatever module."""
    names = {str(field.alias) for one in classes_of_settings() for field in one.model_fields.values()}

    assert len(names) > 60
    assert not {name for name in names if f"- `{name}`" not in reference.settings_page()}


def test_a_setting_needs_one_description(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, or with two, there is no page."""

    class Silent(BaseModel):
        port: int = Field(1, alias="SOME_PORT")

    class Twice(BaseModel):
        port: int = Field(1, alias="INGEST_PORT", description="Another port.")

    for wrong, message in ((Silent, "without a description: SOME_PORT"), (Twice, "two descriptions")):
        monkeypatch.setattr(reference, "SETTINGS", (*reference.SETTINGS[:8], ("wrong", wrong)))

        with pytest.raises(ValueError, match=message):
            reference.settings_page()


def test_every_metric_has_a_help_sentence() -> None:
    """Those that ingest registers by `watch`, too: as many as there are calls."""
    page = re.sub(r"\n  ", " ", reference.metrics_page())
    rows = re.findall(r"^- `(tapline_\w+)` \(\w+\): (.*)$", page, re.MULTILINE)
    code = "".join(path.read_text() for path in (ROOT / "ingest").rglob("*.py"))

    assert all(text.endswith(".") for _, text in rows)
    assert {f"tapline_ingest_{name}" for name in re.findall(r'watch\(\s*"(\w+)"', code)} <= {
        name for name, _ in rows
    }


@pytest.mark.parametrize("status", sorted(TITLES.keys() - {404, 405}))
def test_a_status_is_documented(status: int) -> None:
    """In the table of answers."""
    assert re.search(rf"^\|[^|]*\b{status}\b[^|]*\|", TEXT, re.MULTILINE)


@pytest.mark.parametrize("topic", topics.ALL)
def test_a_topic_is_documented(topic: str) -> None:
    """By its name."""
    assert topic in WORDS


def test_every_test_named_in_the_docs_exists() -> None:
    """A failure or a guarantee whose test is gone would be a promise without proof."""
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    }

    for page, least in ((ROOT / "docs/failures.md", 40), (ROOT / "docs/decisions/0022-consumer-kit.md", 10)):
        assert len(re.findall(r"`test_\w+`", page.read_text())) >= least
    assert set(re.findall(r"`(test_\w+)`", TEXT)) <= written
