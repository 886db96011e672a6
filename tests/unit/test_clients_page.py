"""consumers/clients.md shows the programs that `make test-clients` runs."""

import re
from pathlib import Path

import pytest

from tests.clients import apicurio, sql_clients, topic_readers

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "consumers/clients.md").read_text()


@pytest.mark.parametrize(
    "file",
    [
        "node/read.js",
        "node-rdkafka/read.js",
        "go/main.go",
        "java/Read.java",
        "python/read_confluent_kafka.py",
        "python/decode.py",
        "python/read_aiokafka.py",
        "python/read_kafka_python.py",
        "python/read_kcat.py",
    ],
)
def test_the_page_shows_what_is_run(file: str) -> None:
    """Character by character."""
    blocks = re.findall(r"^```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

    assert (ROOT / "tests/clients" / file).read_text() in blocks


@pytest.mark.parametrize(
    "name", [one.name for one in (*topic_readers.readers(), *sql_clients.clients(), apicurio.PROGRAM)]
)
def test_a_table_has_every_client(name: str) -> None:
    """With the name that runs it."""
    assert f"`{name}`" in (ROOT / "docs/clients.md").read_text()


@pytest.mark.parametrize("folder", ["node", "node-rdkafka", "sql/node"])
def test_the_packages_come_from_wherever_the_machine_gets_them(folder: str) -> None:
    """Npm's lock files hold hashes, but no address of a registry."""
    lock = (ROOT / "tests/clients" / folder / "package-lock.json").read_text()

    assert '"integrity"' in lock
    assert '"resolved"' not in lock
