"""Fixtures of all tests: the real stack, whole or only its services, started once for a session."""

import os
import re
import signal
import time
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.support.process import Ingest
from tests.support.site import Site
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually

_BEGAN = time.monotonic()
_SHARED = ("services", "stack", "breakable", "changing")  # fixtures of the session
# Of the other files, those that take longest: a file, or a folder.
_LONG = (
    "test_alerts",
    "bench",
    "faults",
    "integration",
    "test_commands",
    "test_simulation",
    "test_http_protocol",
)

# Busy machines are slow at times, so a deadline per example would only measure that.
# Each run has examples of its own, in CI too; hypothesis prints how to repeat one that fails.
settings.register_profile(
    "tapline",
    max_examples=50,
    derandomize=False,
    print_blob=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("tapline"), max_examples=2000)
settings.load_profile("tapline")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the limit that keeps CI within half an hour on a slow machine too."""
    parser.addoption("--minutes", type=float, help="skip the tests that would begin later than this")


def pytest_configure() -> None:
    """Pass SIGINT to child processes (a shell's background job ignores it), and make Java start fast."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A broker lives for a minute here; optimising its code would double the start.
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"


class ByStack(LoadFileScheduling):  # type: ignore[misc]
    """Gives all files that share a stack to one worker, so that each stack starts once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return _shared(ROOT / file) or file


@cache
def _shared(path: Path) -> str:
    """Return the name of the shared stack that a file uses, or ""."""
    text = path.read_text()
    return next((one for one in _SHARED if re.search(rf"\b{one}: S", text) and f"def {one}(" not in text), "")


def _turn(item: pytest.Item) -> int:
    """Return when a test's file begins, relative to others."""
    if _shared(item.path):
        return -1
    names = (*item.path.parts, item.path.stem)
    return next((turn for turn, name in enumerate(_LONG) if name in names), len(_LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByStack:
    """Return how tests are given to workers."""
    return ByStack(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start with what takes longest, so that no worker ends up alone with it; the order within is random.

    With a limit of time all of it is random, so that each test has its chance.
    """
    if config.getoption("--minutes") is None:
        items.sort(key=_turn)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what comes too late; before any fixture is set up."""
    minutes = item.config.getoption("--minutes")
    if minutes is not None and time.monotonic() - _BEGAN > 60 * minutes:
        pytest.skip("no time left: --minutes is over")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and ClickHouse, without our own processes."""
    yield from _running(tmp_path_factory.mktemp("services"), "kafka,clickhouse")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack, as `make run` starts it."""
    yield from _running(tmp_path_factory.mktemp("stack"), "")


@pytest.fixture(scope="session")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Kafka with our topics, to be hung, killed and limited; every test leaves it as it was."""
    running = Stack(tmp_path_factory.mktemp("breakable"), "kafka").start()
    try:
        ingest = Ingest(running.kafka, tmp_path_factory.mktemp("ingest")).start()  # it creates the topics
        eventually(ingest.direct, 60, "our topics")
        ingest.stop()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack whose schemas change, without the live page."""
    running = Site(tmp_path_factory.mktemp("changing"), "kafka,clickhouse,warehouse,ingest")
    running.stack.start()
    try:
        yield running
    finally:
        running.stack.stop()


def _running(folder: Path, only: str) -> Iterator[Stack]:
    # Most tests wait for a single event to be queryable.
    running = Stack(folder, only, {"WAREHOUSE_BATCH_AGE_SECONDS_MAX": "0.1"}).start()
    try:
        yield running
    finally:
        running.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Append the ends of the logs to the report of a test that failed on a stack."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for name, value in item.funcargs.items():
            if isinstance(value, Stack):
                report.sections.append((f"logs of {name}", value.said + value.logs()))
    return report
