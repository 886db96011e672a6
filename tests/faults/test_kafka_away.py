"""Kafka hangs, dies, returns: the sender's answers, and the topic's contents afterwards."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.kafka import topics
from tests.faults.posting import ANSWER_SECONDS_MAX, event, ids_since, page_seconds_while, post_all
from tests.support.process import Ingest
from tests.support.stack import Stack
from tests.support.topic import end_offsets
from tests.support.waiting import eventually, is_busy, patience

pytestmark = pytest.mark.slow

# The documented run kills a hundred times: `TAPLINE_DRAIN_KILLS=100 make test-all ARGS=tests/faults`.
_DRAIN_KILLS = int(os.environ.get("TAPLINE_DRAIN_KILLS", "4"))
_DRAINED_EVENTS = 400 * _DRAIN_KILLS


@pytest.fixture
def ingest(breakable: Stack, tmp_path: Path) -> Iterator[Ingest]:
    """An ingest that sends to the broker directly."""
    process = Ingest(breakable.kafka, tmp_path).start()
    assert eventually(process.direct)
    yield process
    process.stop()


def test_a_broker_that_hangs_costs_no_event_and_no_patience(breakable: Stack, ingest: Ingest) -> None:
    """SIGSTOP: every answer is 200 within seconds, health answers meanwhile, and no event is missing."""
    before = end_offsets(breakable.kafka, topics.EVENTS)
    breakable.kill("kafka", signal.SIGSTOP)
    try:
        resent = is_busy()
        answers, page_seconds = asyncio.run(_hang(ingest, resent=resent))
    finally:
        breakable.kill("kafka", signal.SIGCONT)

    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < ANSWER_SECONDS_MAX * patience()
    # The slowest shared its core with another process; a blocked loop delays more than one in ten.
    assert page_seconds[len(page_seconds) * 9 // 10] < 0.3 * patience()
    assert page_seconds[-1] < 1 * patience()
    assert eventually(ingest.direct, 30)
    arrived = ids_since(breakable.kafka, before)["app"]
    assert sorted({*arrived} if resent else arrived, key=int) == [str(n) for n in range(200)]


async def _hang(ingest: Ingest, *, resent: bool) -> tuple[list[tuple[int, float]], list[float]]:
    posting = asyncio.ensure_future(post_all(ingest, range(200), resent=resent))
    page_seconds = await page_seconds_while(ingest, posting)
    return await posting, page_seconds


def test_events_sent_while_kafka_is_dead_arrive_in_order(breakable: Stack, ingest: Ingest) -> None:
    """One sender, one event after the other, while the broker is dead: the topic keeps the order."""
    before = end_offsets(breakable.kafka, topics.EVENTS)
    for number in range(60):
        if number == 20:
            breakable.kill("kafka", signal.SIGKILL)
        assert ingest.post(event(number)).status_code == 200

    assert eventually(ingest.direct, 60)
    assert ids_since(breakable.kafka, before)["app"] == [str(n) for n in range(60)]


def test_the_spool_outlives_its_process(breakable: Stack, tmp_path: Path) -> None:
    """Events spooled by a killed process are sent by the next one, which starts without Kafka."""
    before = end_offsets(breakable.kafka, topics.EVENTS)
    nowhere = Ingest("127.0.0.1:1", tmp_path).start()
    for number in range(30):
        assert nowhere.post(event(number)).json() == {"kept": "spool"}
    assert nowhere.post(b"{").status_code == 400
    nowhere.kill()
    process = Ingest(breakable.kafka, tmp_path).start()

    assert eventually(process.direct)
    assert ids_since(breakable.kafka, before)["app"] == [str(n) for n in range(30)]
    assert process.metric("tapline_ingest_spool_bytes") == 0
    process.stop()


def test_a_spool_belongs_to_one_process(tmp_path: Path) -> None:
    """A second one would remove segments that the first still writes: it reports that and exits."""
    first = Ingest("127.0.0.1:1", tmp_path).start()
    second = Ingest("127.0.0.1:1", tmp_path).start(wait=False)
    status = second.process.wait(20 * patience())
    first.kill()
    third = Ingest("127.0.0.1:1", tmp_path).start()

    assert status == 2
    assert "INGEST_SPOOL_DIR: another process uses the spool" in second.log.read_text()
    assert "Traceback" not in second.log.read_text()
    assert third.stop() == 0


def test_a_full_spool_is_told(tmp_path: Path) -> None:
    """With neither Kafka nor room: 500 with Retry-After, not ready, and the process lives."""
    process = Ingest("127.0.0.1:1", tmp_path, {"INGEST_SPOOL_BYTES_MAX": str(1024 * 1024)}).start()
    answers = [process.post(event(number, 5000)) for number in range(500)]

    assert {answer.status_code for answer in answers} == {200, 500}
    refused = next(answer for answer in answers if answer.status_code == 500)
    assert refused.headers["retry-after"] == "1"
    assert "full" in refused.json()["detail"]
    lines = [line for line in process.log.read_text().splitlines() if "event_not_kept" in line]
    assert 1 <= len(lines) <= 20, "of hundreds, ten a minute"
    assert "the spool is full" in lines[0]
    assert process.admin.get("/healthz").status_code == 200
    process.stop()


@pytest.mark.timeout(240 + 10 * _DRAIN_KILLS)
def test_a_drain_killed_again_and_again_loses_nothing(breakable: Stack, tmp_path: Path) -> None:
    """SIGKILL at any moment of a drain: every acknowledged event is in the topic in the end."""
    before = end_offsets(breakable.kafka, topics.EVENTS)
    nowhere = Ingest("127.0.0.1:1", tmp_path).start()
    # Padded, so that the drain lasts longer than the moments of the kills.
    asyncio.run(post_all(nowhere, range(_DRAINED_EVENTS), connections=64, padding=5000, resent=True))
    nowhere.kill()
    for kills in range(1, _DRAIN_KILLS + 1):
        process = Ingest(breakable.kafka, tmp_path).start(wait=False)
        assert eventually(process.answers)
        # Not a wait for a condition: the moment of the kill is the input, from before the drain to its end.
        time.sleep(0.01 * (kills * 7 % 30))
        process.kill()
    last = Ingest(breakable.kafka, tmp_path).start()
    assert eventually(last.direct, 60)

    assert set(ids_since(breakable.kafka, before)["app"]) == {str(n) for n in range(_DRAINED_EVENTS)}
    last.stop()
