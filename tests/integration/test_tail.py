"""`python -m consumers.tail` as used by a person or a pipe."""

import json
import os
import pty
import signal
import subprocess
import sys
import uuid

import pytest

from runtime.kafka import topics
from tests.support.process import Child, free_port
from tests.support.stack import ROOT, Stack
from tests.support.waiting import patience
from tests.support.warehouse import Sender, body

COMMAND = (sys.executable, "-m", "consumers.tail")
LONG_AGO = ("--since", "2020-01-01")


@pytest.fixture
def app(services: Stack) -> str:
    """An app with two events and a damaged record."""
    sender, app = Sender(services.kafka), f"app-{uuid.uuid4()}"
    sender.events(
        body("AddedToCart", app_id=app, event_id="one"), body("AppOpened", app_id=app, event_id="two")
    )
    sender.put(f"junk {app}".encode(), headers=[], key=app.encode())
    sender.flush()
    return app


def start(kafka: str, *options: str, stdout: int = subprocess.PIPE) -> "Child[str]":
    """Start it."""
    env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": kafka}
    return Child([*COMMAND, *options], cwd=ROOT, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True)


def stopped(process: "Child[str]") -> str:
    """Stop it like Ctrl-C; return its standard error."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20 * patience())
    assert process.returncode == 130
    assert "Traceback" not in said
    return said


def test_shows_a_line_for_each_event(services: Stack, app: str) -> None:
    """Past and new ones; a record that is not an event is reported and ends nothing."""
    with start(services.kafka, "--app", app, *LONG_AGO) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(2)]
        Sender(services.kafka).events(body("AddedToCart", app_id=app, event_id="three"))
        lines.append(process.stdout.readline())
        said = stopped(process)

    assert [line.split()[2:4] for line in lines] == [
        ["AddedToCart", app],
        ["AppOpened", app],
        ["AddedToCart", app],
    ]
    assert "event_properties.product_title=" in lines[0]
    assert "\x1b" not in "".join(lines)
    assert said.startswith(f"tail: {topics.EVENTS}/")


def test_shows_what_is_chosen(services: Stack, app: str) -> None:
    """By type and field, as JSON."""
    fields = "event_id,device_properties.os"
    with start(
        services.kafka, "--app", app, "--type", "AppOpened", "--fields", fields, "--json", *LONG_AGO
    ) as process:
        assert process.stdout
        event = json.loads(process.stdout.readline())
        stopped(process)

    assert event == {"event_id": "two", "device_properties.os": "iOS"}


def test_colours_on_a_terminal_and_lets_no_event_command_it(services: Stack) -> None:
    """Escape sequences in an event are shown as text."""
    app = uuid.uuid4().hex[:8]  # a terminal has 80 columns
    Sender(services.kafka).events(body("AppOpened", app_id=app, event_id="\x1b[2Jone", device_id="\x9b2J"))
    reader, writer = pty.openpty()
    with start(services.kafka, "--app", app, "--fields", "event_id", *LONG_AGO, stdout=writer) as process:
        os.close(writer)
        shown = b""
        while b"\n" not in shown:
            shown += os.read(reader, 4096)
        stopped(process)
    os.close(reader)

    assert b"\x1b[" in shown
    assert b"\x1b[2J" not in shown
    assert b"\\u009b2J" in shown
    assert "\x9b".encode() not in shown


def test_ends_when_nobody_reads(services: Stack, app: str) -> None:
    """A closed pipe is not an error."""
    with start(services.kafka, "--app", app, *LONG_AGO) as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        Sender(services.kafka).events(*(body("AppOpened", app_id=app) for _ in range(3)))
        assert process.stderr
        said = process.stderr.read()
        status = process.wait(20 * patience())

    assert (status, "Traceback" in said, "Exception" in said) == (0, False, False)


def test_waits_for_kafka_and_says_so() -> None:
    """Kafka is not running there."""
    with start(f"127.0.0.1:{free_port()}") as process:
        assert process.stderr
        first = process.stderr.readline()
        stopped(process)

    assert first.startswith("tail: Kafka at ")
    assert first.endswith("KAFKA_BOOTSTRAP_SERVERS. Waiting.\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--type", "Nope"), "no event type Nope; there are AddedToCart, AppInstalled"),
        (("--type", "AppOpened", "--fields", "nope.x"), "no field nope.x; there are app_id"),
        (("--since", "yesterday"), "'yesterday' is neither like 90s, 30m, 1h, 2d nor a date"),
        (("--nope",), "unrecognized arguments: --nope"),
    ],
)
def test_a_wrong_option_is_told(options: tuple[str, ...], told: str) -> None:
    """With the valid ones, and status 2."""
    done = subprocess.run(
        [*COMMAND, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )

    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
