"""Posts -> ingest, at a steady rate, while it is being broken; and the posts that were acknowledged.

Invariants: like Tapcart, only 500 and a lost connection are retried; a post counts as kept once it was
answered 200, 400 or 422. Once `stop_people` has returned, no new post is about the people to be erased, but
their earlier posts are sent again from time to time, as late retries.
"""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from random import Random
from urllib.parse import urlsplit

from tests.faults.erasing.people import Person, Post, Posts
from tests.faults.harness.connection import Connection, request
from tests.faults.harness.ledger import KEPT

_CONNECTIONS = 24
_REQUEST_SECONDS_MAX = 10.0
_PATIENCE_SECONDS = 60.0
_PREPARED, _ABOUT_PEOPLE, _LATE_RETRIES = 0.5, 0.2, 0.1  # shares of all posts
_PAUSE_SECONDS_MAX = 1.0


class Flow:
    """Sends in a thread of its own."""

    def __init__(self, url: str, posts: Posts, prepared: Sequence[Post], rate: float, seed: int) -> None:
        self.kept: dict[bytes, Post] = {}  # by body
        self.gave_up: set[str] = set()
        self.requests = self.late_retries = 0
        self._posts, self._rate, self._rng = posts, rate, Random(seed)
        self._prepared = list(prepared)
        self.about: list[Post] = []  # the people, until they were stopped
        self._back: list[Person] = []
        self._people_stopped, self._stopping = threading.Event(), threading.Event()
        self._url = urlsplit(url)
        self._thread = threading.Thread(target=asyncio.run, args=(self._run(),))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop_people(self) -> None:
        """Send no new post about the people; later posts have a later time."""
        self._prepared = [post for post in self._prepared if not post.is_about]
        self._people_stopped.set()
        time.sleep(0.01)  # the time of a post made before is in the past

    def come_back(self, people: Sequence[Person]) -> None:
        """Send new posts about these people: they are customers again."""
        self._back = [*people]

    def stop(self) -> None:
        """Finish started posts."""
        self._stopping.set()
        self._thread.join()

    async def _run(self) -> None:
        queue: asyncio.Queue[Post | None] = asyncio.Queue(_CONNECTIONS)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CONNECTIONS):
                tasks.create_task(self._work(queue))
            began = time.monotonic()
            for index, post in enumerate(self._due()):
                await asyncio.sleep(max(0.0, began + index / self._rate - time.monotonic()))
                await queue.put(post)
            for _ in range(_CONNECTIONS):
                await queue.put(None)

    def _due(self) -> Iterator[Post]:
        rng = self._rng
        while not self._stopping.is_set():
            now_ms, chance = time.time_ns() // 1_000_000, rng.random()
            if self._people_stopped.is_set():
                if chance < _LATE_RETRIES and self.about:
                    self.late_retries += 1
                    yield rng.choice(self.about)
                elif chance < 2 * _LATE_RETRIES and self._back:
                    yield self._posts.of_people(now_ms, self._back)
                elif self._prepared:
                    yield self._prepared.pop()
                else:
                    yield self._posts.of_others(now_ms)
            elif self._prepared and chance < _PREPARED:
                yield self._remembered(self._prepared.pop())
            elif chance < _PREPARED + _ABOUT_PEOPLE:
                yield self._remembered(self._posts.of_people(now_ms))
            else:
                yield self._posts.of_others(now_ms)

    def _remembered(self, post: Post) -> Post:
        if post.is_about:
            self.about.append(post)
        return post

    async def _work(self, queue: asyncio.Queue[Post | None]) -> None:
        connection = Connection(self._url.hostname or "", self._url.port or 80)
        while post := await queue.get():
            if await self._is_kept(connection, request(self._url.path, post.headers, post.body)):
                self.kept[post.body] = post
            else:
                self.gave_up.add(post.event_id)
        connection.close()

    async def _is_kept(self, connection: Connection, sent: bytes) -> bool:
        began, pause = time.monotonic(), 0.1
        while time.monotonic() - began < _PATIENCE_SECONDS:
            self.requests += 1
            try:
                status = await connection.post(sent, _REQUEST_SECONDS_MAX)
            except (OSError, EOFError):
                status = 0
            if status in KEPT:
                return True
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)
        return False
