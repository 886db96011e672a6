"""The fuzzer: its cases repeat, its oracles report faults, a short run on a real stack finds nothing."""

import subprocess
import sys
from random import Random

import pytest

from tests.fuzz import oracle
from tests.fuzz.__main__ import _GENERATORS
from tests.fuzz.case import Place
from tests.fuzz.oracle import Answer, Process
from tests.support.stack import ROOT

_PLACE = Place("/tapcart_webhooks/token-0123456789", "token-0123456789")


@pytest.mark.parametrize("name", _GENERATORS)
def test_a_case_is_a_function_of_its_seed(name: str) -> None:
    """The same number gives the same case, so a finding can be repeated; others differ."""
    make = _GENERATORS[name]
    cases = [make(Random(f"1/{name}/{number}"), _PLACE) for number in range(200)]

    assert cases == [make(Random(f"1/{name}/{number}"), _PLACE) for number in range(200)]
    assert len({repr(case) for case in cases}) > 50


@pytest.mark.parametrize(
    ("judge", "raw", "part"),
    [
        (oracle.webhook, b"HTTP/1.1 500 X\r\n\r\n", "answered 500"),
        (oracle.webhook, b"HTTP/1.1 307 X\r\n\r\n", "answered 307"),
        (oracle.webhook, b"HTTP/1.1 200 OK\r\n\r\nTraceback (most recent call last)", "traceback"),
        (oracle.sql_port, b"HTTP/1.1 500 X\r\n\r\nInternal Server Error", "without a code"),
        (oracle.sql_port, b"HTTP/1.1 200 OK\r\n\r\nroot:x:0:0:root", "must not"),
        (oracle.api, b"HTTP/1.1 500 X\r\n\r\n", "answered 500"),
    ],
)
def test_an_oracle_tells_a_fault(judge: oracle.Judge, raw: bytes, part: str) -> None:
    """A forbidden effect is a finding."""
    assert part in judge(Answer.parse(raw))


@pytest.mark.parametrize(
    ("judge", "raw"),
    [
        (oracle.webhook, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 422 X\r\n\r\n{}"),
        (oracle.webhook, b""),
        (oracle.sql_port, b"HTTP/1.1 500 X\r\nX-ClickHouse-Exception-Code: 62\r\n\r\nCode: 62."),
        (oracle.api, b"HTTP/1.1 503 X\r\n\r\n"),
    ],
)
def test_an_oracle_lets_documented_answers_pass(judge: oracle.Judge, raw: bytes) -> None:
    """Documented rejections, and errors with ClickHouse's code, are not findings."""
    assert judge(Answer.parse(raw)) == ""


def test_growth_and_restarts_are_told() -> None:
    """A process that restarted, grew or kept descriptors is a finding."""
    then = dict.fromkeys(("ingest", "live"), Process(1, 100 << 20, 20))
    now = {"ingest": Process(2, 100 << 20, 20), "live": Process(1, 900 << 20, 200)}
    said = " ".join(oracle.changes(then, now))

    assert "ingest was started again" in said
    assert "live holds 800 MiB more" in said
    assert "live holds 180 descriptors more" in said


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_short_run_finds_nothing() -> None:
    """Every port and the topic of a real stack are attacked for some seconds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--requests", "4000", "--rate", "250", "--seed", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
