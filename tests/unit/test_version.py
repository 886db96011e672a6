"""The version is published by every process."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

import consumers.kit.metrics
import consumers.live.metrics
import consumers.warehouse.metrics
import ingest.metrics
import tapline
from consumers.live.page_state import PageState
from runtime.version import VERSION
from tests.unit.test_process import ended


@pytest.mark.parametrize(
    "registry",
    [
        ingest.metrics.Metrics().registry,
        consumers.kit.metrics.Metrics().registry,
        consumers.live.metrics.Metrics().registry,
        consumers.warehouse.metrics.Metrics().registry,
    ],
    ids=("ingest", "kit", "live", "warehouse"),
)
def test_every_process_has_it_as_a_metric(registry: CollectorRegistry) -> None:
    """Under one name."""
    assert f'tapline_build_info{{version="{VERSION}"}} 1.0' in generate_latest(registry).decode()


def test_the_page_gets_it() -> None:
    """With its state."""
    assert PageState((), 0, 1000).state(0).version == VERSION


def test_the_log_of_a_start_has_it() -> None:
    """Of each process that has started."""
    code = "process.stops_by(lambda: None, 1)"

    assert f'"event": "process_started", "version": "{VERSION}"' in ended(code)[2]


def test_there_is_one() -> None:
    """The package's is the same."""
    assert tapline.__version__ == VERSION
