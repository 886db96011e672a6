"""A wrong clock on ingest's machine: events are kept as usual, and nothing waits for a correct clock."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.kafka import record_headers, topics
from tests.faults.harness.world import Inside
from tests.support.process import SAMPLES, Ingest
from tests.support.stack import Stack
from tests.support.topic import end_offsets, messages_since
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

BODY = json.loads((SAMPLES / "AppOpened.json").read_text())
_SITE = Path(__file__).parent / "harness" / "inside"


@pytest.fixture
def clock(tmp_path: Path) -> Inside:
    """The clock of `ingest`."""
    return Inside(tmp_path / "clock")


@pytest.fixture
def ingest(services: Stack, tmp_path: Path, clock: Inside) -> Iterator[Ingest]:
    """An ingest that sends to Kafka directly."""
    env = {"PYTHONPATH": str(_SITE), "TAPLINE_FAULTS_INSIDE": str(clock.path)}
    process = Ingest(services.kafka, tmp_path, env).start()
    assert eventually(process.direct)
    yield process
    process.stop()


@pytest.mark.parametrize("seconds", [-3 * 86_400, 3 * 86_400])
def test_a_clock_that_is_days_off_holds_nothing_up(
    services: Stack, ingest: Ingest, clock: Inside, seconds: int
) -> None:
    """Kafka accepts records far ahead of its own time, so none blocks the spool."""
    before = eventually(lambda: end_offsets(services.kafka, topics.EVENTS))
    clock.step_clock(seconds)
    answer = ingest.post(json.dumps(BODY | {"event_id": f"clock-{seconds}"}))
    (message,) = messages_since(services.kafka, topics.EVENTS, before)

    assert answer.json() == {"kept": "kafka"}
    assert abs(message.timestamp()[1] / 1000 - time.time() - seconds) < 60
    assert dict(message.headers() or ())[record_headers.EVENT_ID] == f"clock-{seconds}".encode()
