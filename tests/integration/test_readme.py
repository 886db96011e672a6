"""README's commands work: each of them runs here, on the test's own ports."""

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from runtime.kafka import topic_contract, topics
from tests.support.process import SAMPLES, Child
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Sender
from tests.support.web import WEB

README = (ROOT / "README.md").read_text()
# `make run` is the fixture itself, `make test` runs this file.
NOT_RUN = ("make run", "make test", "make test-all")


def blocks(language: str, text: str = README) -> list[str]:
    """Return a document's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


COMMANDS = [
    line.split("  #")[0]
    for block in blocks("sh")
    for line in block.splitlines()
    if line.strip() and not line.startswith(NOT_RUN)
]


def located(text: str, stack: Stack) -> str:
    """Return a command or program with the test's addresses instead of the default ones."""
    return (
        text.replace("127.0.0.1:8080", f"127.0.0.1:{stack.env['INGEST_PORT']}")
        .replace("127.0.0.1:8083", stack.admin_url.removeprefix("http://"))
        .replace("127.0.0.1:8123", f"127.0.0.1:{stack.env['CLICKHOUSE_PORT']}")
        .replace("127.0.0.1:9092", stack.kafka)
        .replace("data/token", str(stack.data_dir / "token"))
    )


@pytest.fixture(scope="module")
def loaded(stack: Stack) -> Stack:
    """A running stack with at least one event of each type, behind a record of another producer."""
    sender = Sender(stack.kafka, time.time_ns() // 1_000_000)
    for partition in range(topic_contract.PARTITIONS[topics.EVENTS]):
        sender.put(b"of another producer", headers=[], partition=partition)
    sender.flush()
    for path in SAMPLES.glob("*.json"):
        assert WEB.post(stack.ingest_url, content=path.read_bytes()).status_code == 200
    count = "SELECT uniqExact(event_type) FROM tapcart.events"
    assert eventually(lambda: int(WEB.post(stack.clickhouse_url, content=count).text) >= 14)
    return stack


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_readme_works(loaded: Stack, command: str) -> None:
    """It ends with status 0; an endless one is stopped."""
    command = f"timeout 8 {command} || [ $? = 124 ]" if command.startswith("make tail") else command
    done = subprocess.run(
        ["bash", "-c", located(command, loaded)],
        cwd=ROOT,
        env=loaded.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "problem" not in done.stdout


QUERIES = blocks("sql") + blocks("sql", (ROOT / "docs/queries.md").read_text())


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.splitlines()[0].strip("- "))
def test_a_query_of_readme_works(loaded: Stack, query: str) -> None:
    """It is valid, and finds something unless the samples lack it."""
    answer = WEB.post(loaded.clickhouse_url, content=query)

    assert answer.status_code == 200, answer.text
    if "extra" not in query and "quarantine" not in query:
        assert answer.text


_OURS = re.compile("^from (consumers.kit|confluent_kafka) import", re.MULTILINE)


@pytest.mark.parametrize(
    ("document", "count"), [("README.md", 2), ("consumers/clients.md", 14)], ids=("kit", "confluent")
)
def test_a_consumer_in_python_works(loaded: Stack, tmp_path: Path, document: str, count: int) -> None:
    """It prints every matching event; it is stopped after the last type."""
    program = next(one for one in blocks("python", (ROOT / document).read_text()) if _OURS.search(one))
    script = tmp_path / "consumer.py"
    script.write_text(located(program, loaded))
    env = loaded.env | {"KAFKA_BOOTSTRAP_SERVERS": loaded.kafka, "PYTHONPATH": str(ROOT)}
    with Child(
        [str(ROOT / ".venv" / "bin" / "python"), "-u", str(script)],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        types: set[str] = set()
        for line in process.stdout:
            # Clickstream events, which other tests may have sent, have no type.
            found = json.loads(line).get("event_type") if line.startswith("{") else line.split()[0]
            types |= {found} if found else set()
            if len(types) >= count:
                break
        process.kill()

    assert len(types) >= count


def test_readme_can_be_read_in_five_minutes() -> None:
    """At 250 words per minute."""
    assert len(README.split()) < 1900
