"""A rate -> posts at fixed times, the latency of each answer, and the time until each event could be queried.

Open loop: a post is due at its time whatever the answers do, and latency counts from that time, so that a
stall can't hide. Freshness is measured as a user sees it: every twentieth event is a marker, a ProductViewed,
and `tapcart.product_viewed` is queried repeatedly for the visible markers. (`tapcart.events` takes 86 ms of a
core: ten queries a second were half of ClickHouse's work.) A marker counts from the time its POST was due to
the end of the first answer that has it: at most one query (its pause and its duration) too late, never too
early.

A run that is to show whether a rate is too high ends at the first marker that is too late: nobody has to wait
for a backlog.

Ten queries a second take some of ClickHouse's time, so a run may do without.

Invariants: bodies are those of `deploy.demo` (50 apps by Zipf, 14 types in a shop's mix) with an id and a
time of their own; markers are spread over twelve apps.
"""

import asyncio
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from urllib.parse import urlsplit

import httpx
import msgspec

from deploy.demo.generator import Plan, generate
from tests.bench.usage import Usage
from tests.faults.harness.connection import Connection, request

_DAY_MS = 86_400_000
_SAMPLE_START_MS = 20_600 * _DAY_MS
_SAMPLE_EVENTS = 20_000
_APPS = 50
_MARKER_EVERY = 20
_MARKER_APPS = [f"bench-marker-{number}" for number in range(12)]
_CONNECTIONS = 64
_ANSWER_SECONDS_MAX = 60.0
_QUESTION_PAUSE_SECONDS = 0.1
_LAST_SECONDS_MAX = 120.0


@dataclass(slots=True)
class Seen:
    """The results of the posts of one run."""

    answers: list[float] = field(default_factory=list)  # seconds, of answers 200
    refused: Counter[int] = field(default_factory=Counter)  # by status; 0: no answer
    queryable: list[float] = field(default_factory=list)  # seconds, of markers
    missing: int = 0  # acknowledged markers that never came, or for which the run did not wait
    questions: list[float] = field(default_factory=list)  # seconds each took
    late: float = 0.0  # the longest delay of a post after it was due: the sender's own fault


class Traffic:
    """One run against one stack."""

    def __init__(
        self, ingest_url: str, clickhouse_url: str, late_seconds_max: float = inf, *, asks: bool = True
    ) -> None:
        self._late_seconds_max = late_seconds_max
        self._asks = asks  # for markers
        self._is_late = False  # a marker is
        url = urlsplit(ingest_url)
        self._path = url.path
        self._free = deque(Connection(url.hostname or "", url.port or 0) for _ in range(_CONNECTIONS))
        self._address = url.hostname or "", url.port or 0
        self._clickhouse = clickhouse_url
        self._events = _sample()
        self._viewed = [event for event in self._events if event["event_type"] == "ProductViewed"]
        self._run = uuid.uuid4().hex[:8]
        self._due: dict[str, tuple[float, int]] = {}  # markers not seen yet: due, and as milliseconds
        self._seen = Seen()
        self._last = asyncio.Event()  # all posts are sent

    async def send(self, rate: float, seconds: float, read: Callable[[], Usage]) -> tuple[Seen, Usage]:
        """Post `rate` events per second; `read` when all are answered; then wait for the markers."""
        asking = asyncio.create_task(self._ask())
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(round(rate * seconds)):
                if self._is_late:
                    break
                due = began + number / rate
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                self._seen.late = max(self._seen.late, time.perf_counter() - due)
                group.create_task(self._post(number, due))
        usage = read()
        self._last.set()
        await asyncio.wait([asking], timeout=_LAST_SECONDS_MAX)
        asking.cancel()
        self._seen.missing = len(self._due)
        for connection in self._free:
            connection.close()
        return self._seen, usage

    async def _post(self, number: int, due: float) -> None:
        event_id = f"{self._run}-{number}"
        now_ms = time.time_ns() // 1_000_000
        changes = {"event_id": event_id, "timestamp": now_ms}
        events = self._events
        if number % _MARKER_EVERY == 0:
            events = self._viewed
            changes["app_id"] = _MARKER_APPS[number // _MARKER_EVERY % len(_MARKER_APPS)]
            if self._asks:
                self._due[event_id] = due, now_ms
        body = msgspec.json.encode(events[number % len(events)] | changes)
        connection = self._free.popleft() if self._free else Connection(*self._address)
        try:
            status = await connection.post(request(self._path, b"", body), _ANSWER_SECONDS_MAX)
        except (OSError, EOFError, TimeoutError):
            status = 0
        self._free.append(connection)
        if status == httpx.codes.OK:
            self._seen.answers.append(time.perf_counter() - due)
        else:
            self._seen.refused[status] += 1
            self._due.pop(event_id, None)

    async def _ask(self) -> None:
        apps = ", ".join(f"'{app}'" for app in _MARKER_APPS)
        async with httpx.AsyncClient(base_url=self._clickhouse, timeout=_ANSWER_SECONDS_MAX) as client:
            while (self._due and not self._is_late) or not self._last.is_set():
                await asyncio.sleep(_QUESTION_PAUSE_SECONDS)
                if not self._due:
                    continue
                since = min(at_ms for _, at_ms in self._due.values())
                sql = (
                    f"SELECT event_id FROM tapcart.product_viewed WHERE app_id IN ({apps})"
                    f" AND timestamp >= fromUnixTimestamp64Milli({since})"
                )
                began = time.perf_counter()
                answer = await client.post("/", content=sql)
                now = time.perf_counter()
                if answer.is_error:
                    continue
                self._seen.questions.append(now - began)
                for event_id in answer.text.split():
                    due, _ = self._due.pop(event_id, (0.0, 0))
                    if due:
                        self._seen.queryable.append(now - due)
                oldest = min((due for due, _ in self._due.values()), default=now)
                self._is_late = self._is_late or now - oldest > self._late_seconds_max


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the value that this share of them stays within; infinite if there are none."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")


def _sample() -> list[dict[str, object]]:
    plan = Plan(_SAMPLE_START_MS, _SAMPLE_START_MS + _DAY_MS, apps=_APPS, events_per_day=_SAMPLE_EVENTS)
    return [msgspec.json.decode(post.body) for post in generate(plan) if post.kind == "event"]
