"""ingest returns to Kafka under load, however slow its disk is."""

import asyncio
from pathlib import Path

import pytest

from runtime.kafka import topics
from tests.faults import slow_disk
from tests.faults.posting import ids_since
from tests.support.stack import Stack
from tests.support.topic import end_offsets
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

_RATE, _AWAY_SECONDS = 300, 3.5


@pytest.mark.parametrize("fsync_ms", [5, 20])
def test_a_slow_disk_under_load_does_not_keep_ingest_from_kafka(
    breakable: Stack, tmp_path: Path, fsync_ms: int
) -> None:
    """Direct again although the load goes on; nothing lost, each app in order."""
    process = slow_disk.ingest(breakable.kafka, tmp_path, fsync_ms / 1000)
    assert eventually(process.direct, 60)
    before = end_offsets(breakable.kafka, topics.EVENTS)
    seen = asyncio.run(slow_disk.outage(breakable, process, _RATE, _AWAY_SECONDS))
    assert eventually(process.direct, 30)
    arrived = ids_since(breakable.kafka, before)
    process.stop()

    assert seen.statuses == {200}
    assert seen.backlog > 0
    assert seen.states[-1] == "direct"
    assert sum(map(len, arrived.values())) == seen.posted
    for ids in arrived.values():
        assert ids == [str(number) for number in range(len(ids))]
