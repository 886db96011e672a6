"""Distinguishable events, posted over several connections, and their records in the topic."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from runtime.kafka import record_headers, topics
from tests.support.process import SAMPLES, Ingest
from tests.support.topic import headers_of, messages_since

# Without a limit, the senders take the cores that brokers need to recover.
_PAUSE_SECONDS = 0.02
# Kafka has INGEST_ACKNOWLEDGE_SECONDS_MAX, 2 s; then an event goes to the spool.
ANSWER_SECONDS_MAX = 3.0
BODY = json.loads((SAMPLES / "AppOpened.json").read_text())


def event(number: int, padding: int = 0, app_id: str = "app") -> bytes:
    """Return an event distinguishable from all others of its app, with this much incompressible data."""
    noise = random.Random(number).randbytes(padding // 2).hex()
    return json.dumps(BODY | {"event_id": str(number), "app_id": app_id, "padding": noise}).encode()


@asynccontextmanager
async def client_of(ingest: Ingest) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client with enough connections."""
    limits = httpx.Limits(max_connections=None)
    base = f"http://127.0.0.1:{ingest.port}"
    async with httpx.AsyncClient(base_url=base, timeout=60, limits=limits) as client:
        yield client


async def timed_post(client: httpx.AsyncClient, body: bytes) -> tuple[int, float]:
    """Return (status, seconds)."""
    began = time.perf_counter()
    answer = await client.post("/tapcart_webhooks/secret-of-the-tests", content=body)
    return answer.status_code, time.perf_counter() - began


async def post_all(
    ingest: Ingest, numbers: range, connections: int = 16, padding: int = 0, *, resent: bool = False
) -> list[tuple[int, float]]:
    """Return (status, seconds) per event of one app, sent over several connections.

    `resent`: sends again what was answered 500, like Tapcart.
    """
    queue = iter(numbers)

    async def post(client: httpx.AsyncClient, body: bytes) -> tuple[int, float]:
        answer = await timed_post(client, body)
        while resent and answer[0] == 500:
            answer = await timed_post(client, body)
        return answer

    async def sender(client: httpx.AsyncClient) -> list[tuple[int, float]]:
        return [await post(client, event(number, padding)) for number in queue]

    async with client_of(ingest) as client:
        answers = await asyncio.gather(*(sender(client) for _ in range(connections)))
    return [answer for part in answers for answer in part]


async def answers_while(
    ingest: Ingest, until: asyncio.Future[None], apps: int
) -> dict[str, list[tuple[int, float]]]:
    """Return app id -> (status, seconds) of its events 0, 1, ..., sent one by one until `until` is done."""
    answers: dict[str, list[tuple[int, float]]] = {f"app-{app}": [] for app in range(apps)}

    async def sender(client: httpx.AsyncClient, app_id: str) -> None:
        while not until.done():
            answers[app_id].append(await timed_post(client, event(len(answers[app_id]), app_id=app_id)))
            await asyncio.sleep(_PAUSE_SECONDS)

    async with client_of(ingest) as client:
        await asyncio.gather(*(sender(client, app_id) for app_id in answers))
    return answers


async def page_seconds_while(ingest: Ingest, until: asyncio.Future[Any]) -> list[float]:
    """Return the latencies of health and metrics until `until` is done, shortest first."""
    seconds = []
    async with httpx.AsyncClient(base_url=ingest.admin.base_url, timeout=60) as client:
        while not until.done():
            for page in ("/healthz", "/readyz", "/metrics"):
                began = time.perf_counter()
                assert (await client.get(page)).status_code == 200
                seconds.append(time.perf_counter() - began)
            await asyncio.wait([until], timeout=0.05)
    return sorted(seconds)


def ids_since(kafka: str, before: dict[int, int]) -> dict[str, list[str]]:
    """Return app id -> its event ids in the topic, first occurrences only, in order."""
    found: dict[str, dict[str, None]] = {}
    for message in messages_since(kafka, topics.EVENTS, before):
        key = message.key()
        assert isinstance(key, bytes)
        found.setdefault(key.decode(), {})[headers_of(message)[record_headers.EVENT_ID].decode()] = None
    return {app_id: [*ids] for app_id, ids in found.items()}
