"""Fixtures of all tests: the real stack, whole or only its services, started once for a session."""

import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from tests.support.stack import ROOT, Stack

_SHARED = ("services", "stack")  # fixtures of the session

# Busy machines are slow at times, so a deadline per example would only measure that.
settings.register_profile("tapline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tapline")


def pytest_configure() -> None:
    """Pass SIGINT to child processes (a shell's background job ignores it), and make Java start fast."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A broker lives for a minute here; optimising its code would double the start.
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"


class ByStack(LoadFileScheduling):  # type: ignore[misc]
    """Gives all files that share a stack to one worker, so that each stack starts once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        text = (ROOT / file).read_text()
        shared = (one for one in _SHARED if f"{one}: Stack" in text and f"def {one}(" not in text)
        return next(shared, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByStack:
    """Return how tests are given to workers."""
    return ByStack(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest files, so that no worker ends up alone with one; the order within is random."""
    folders = ("faults", "integration")
    items.sort(key=lambda item: next((n for n, name in enumerate(folders) if name in item.path.parts), 9))


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and ClickHouse, without our own processes."""
    yield from _running(tmp_path_factory.mktemp("services"), "kafka,clickhouse")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack, as `make run` starts it."""
    yield from _running(tmp_path_factory.mktemp("stack"), "")


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
