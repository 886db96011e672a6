"""Posts -> requests to an ingest URL, sent like Tapcart's, and a tally of the answers.

Invariants: only 400, 500 and a lost connection are retried, up to a time limit; then the event is dropped, as
by Tapcart. A post counts once, under its last answer. At most `connections` requests are in flight. Source:
Tapcart's public documentation ("after a 400 or 500 response" the event is sent again for 5 minutes).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic

import httpx
from tenacity import AsyncRetrying, RetryCallState, wait_random_exponential

from deploy.demo.generator import Post

NO_ANSWER = 0  # instead of a status: the connection was refused or lost

_BAD_REQUEST, _OK, _ERROR = 400, 200, 500
_REQUEST_SECONDS_MAX = 15.0
_ONE = httpx.Limits(max_connections=1)
# A body that is not JSON never succeeds: two seconds show what Tapcart does for five minutes.
_PATIENCE_SECONDS = {_BAD_REQUEST: 2.0, _ERROR: 300.0, NO_ANSWER: 300.0}


@dataclass
class Tally:
    """The results of the posts."""

    sent: int = 0  # posts with a final answer
    retries: int = 0  # requests beyond the first of a post
    statuses: Counter[int] = field(default_factory=Counter)
    unexpected: Counter[tuple[int, int]] = field(default_factory=Counter)  # (expected, answered)
    acknowledged: dict[str, set[str]] = field(default_factory=dict)  # app id -> event ids

    def add(self, post: Post, status: int) -> None:
        """Count the final answer to a post."""
        self.sent += 1
        self.statuses[status] += 1
        if status != post.status:
            self.unexpected[post.status, status] += 1
        if status == _OK and post.event_id:
            self.acknowledged.setdefault(post.app_id, set()).add(post.event_id)


@dataclass(frozen=True)
class Pace:
    """The rate of posts."""

    per_second: float = 0.0  # 0: as fast as they are answered
    connections: int = 16


async def send(
    url: str, posts: Iterable[Post], pace: Pace, progress: Callable[[Tally], None] = lambda _: None
) -> Tally:
    """Send all posts and return their tally."""
    tally = Tally()
    queue = iter(posts)
    started = monotonic()
    taken = 0

    async def work() -> None:
        nonlocal taken
        # One client per worker: searching a shared pool cost more than the requests (140/s against 400/s).
        async with httpx.AsyncClient(timeout=_REQUEST_SECONDS_MAX, limits=_ONE, trust_env=False) as client:
            for post in queue:
                due = started + taken / pace.per_second if pace.per_second else 0.0
                taken += 1
                if due > monotonic():
                    await asyncio.sleep(due - monotonic())
                status, requests = await _post(client, url, post.body)
                tally.retries += requests - 1
                tally.add(post, status)
                progress(tally)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(pace.connections):
            tasks.create_task(work())
    return tally


async def _post(client: httpx.AsyncClient, url: str, body: bytes) -> tuple[int, int]:
    """Return the final status and the number of requests."""
    attempts = AsyncRetrying(
        wait=wait_random_exponential(multiplier=0.5, max=10.0),
        retry=_is_sent_again,
        retry_error_callback=_last_status,
    )
    requests = 0

    async def once() -> int:
        nonlocal requests
        requests += 1
        try:
            answer = await client.post(url, content=body, headers={"content-type": "application/json"})
        except httpx.TransportError:
            return NO_ANSWER
        return answer.status_code

    status: int = await attempts(once)
    return status, requests


def _is_sent_again(state: RetryCallState) -> bool:
    status = _last_status(state)
    return (state.seconds_since_start or 0.0) < _PATIENCE_SECONDS.get(status, 0.0)


def _last_status(state: RetryCallState) -> int:
    status: int = state.outcome.result() if state.outcome else NO_ANSWER
    return status
