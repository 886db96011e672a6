"""An orderly stop of ingest with requests in flight."""

import asyncio
import json
import signal
from pathlib import Path

import httpx
import pytest

from runtime.kafka import record_headers, topics
from tests.support.process import SAMPLES, Ingest
from tests.support.stack import Stack
from tests.support.topic import end_offsets, headers_of, messages_since
from tests.support.waiting import eventually

BODY = json.loads((SAMPLES / "PurchaseCompleted.json").read_text())

pytestmark = pytest.mark.slow


def test_what_was_acknowledged_before_a_stop_is_kept(services: Stack, tmp_path: Path) -> None:
    """SIGTERM under load: exit status 0, and each id answered 200 is in the topic."""
    ingest = Ingest(services.kafka, tmp_path).start()
    assert eventually(ingest.direct)
    before = eventually(lambda: end_offsets(services.kafka, topics.EVENTS))
    acknowledged, broken = asyncio.run(_post_until_stopped(ingest))

    assert ingest.stop() == 0
    assert broken <= 32  # at most the one request that each connection was about to send
    found = {
        headers_of(message)[record_headers.EVENT_ID].decode()
        for message in messages_since(services.kafka, topics.EVENTS, before)
    }
    assert acknowledged
    assert acknowledged <= found


async def _post_until_stopped(ingest: Ingest) -> tuple[set[str], int]:
    """Return the acknowledged ids, and the number of unanswered requests."""
    acknowledged: set[str] = set()
    broken = 0

    async def sender(first: int, client: httpx.AsyncClient) -> None:
        nonlocal broken
        for number in range(first, first + 100_000):
            event = json.dumps(BODY | {"event_id": str(number)})
            try:
                answer = await client.post("/tapcart_webhooks/secret-of-the-tests", content=event)
            except httpx.TransportError:
                broken += 1
                return
            assert answer.status_code == 200
            acknowledged.add(str(number))
            if len(acknowledged) == 500:
                ingest.process.send_signal(signal.SIGTERM)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ingest.port}", timeout=10) as client:
        await asyncio.gather(*(sender(n * 1_000_000, client) for n in range(32)))
    return acknowledged, broken
