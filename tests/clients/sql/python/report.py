"""A check -> one JSON line: its result, or the error that it raised."""

import json
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

ADDRESS = urlsplit(os.environ.get("CLICKHOUSE", "http://127.0.0.1:8123"))
# Longer than the text that a client puts into the URL, with characters that must be escaped.
LONG = "it's ünïcode\\ \n\t" * 1250
ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
RUNNING = (
    "SELECT count() FROM system.processes WHERE query LIKE 'SELECT count() FROM numbers(1000000000000)%'"
)
ROWS = [(number, f"name {number}") for number in range(10_000)]
TABLE = "(id UInt64, name String) ENGINE = MergeTree ORDER BY id"
_LEFT_SECONDS_MAX = 10.0


def report(**checks: Callable[[], Any]) -> None:
    """Run the checks, each by itself, and print their results."""
    for name, check in checks.items():
        try:
            line = {"check": name, "got": check()}
        except Exception as error:  # noqa: BLE001 - that is what a check may find
            line = {"check": name, "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(line, default=str), flush=True)


def started(running: Callable[[], int]) -> None:
    """Return once a query runs. Raises: AssertionError if it does not within ten seconds."""
    deadline = time.monotonic() + _LEFT_SECONDS_MAX
    while not running():
        assert time.monotonic() < deadline, "the query is not in system.processes"
        time.sleep(0.1)


def left(running: Callable[[], int]) -> int:
    """Return how many queries still run: 0 once they have ended, which may take a moment."""
    deadline = time.monotonic() + _LEFT_SECONDS_MAX
    while (count := running()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return count
