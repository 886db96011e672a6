"""consumers/clients.md shows the programs that `make test-clients` runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "consumers/clients.md").read_text()


@pytest.mark.parametrize(
    ("language", "file"), [("js", "node/read.js"), ("go", "go/main.go"), ("java", "java/Read.java")]
)
def test_the_page_shows_what_is_run(language: str, file: str) -> None:
    """Letter by letter."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    assert block == (ROOT / "tests/clients" / file).read_text()


def test_the_packages_come_from_wherever_the_machine_gets_them() -> None:
    """Npm's lock file holds hashes and no address of a registry."""
    lock = (ROOT / "tests/clients/node/package-lock.json").read_text()

    assert '"integrity"' in lock
    assert '"resolved"' not in lock
