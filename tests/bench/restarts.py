"""`python -m tests.bench.restarts`: posts at a rate while ingest restarts again and again -> posts refused.

The sender never retries: each post counts once, as answered 200 or as refused. Half of the posts use a few
connections that stay open, half open one each. Posts are due at fixed times, whatever the answers do; latency
counts from that time. Exit status: 0; 1 if a restart refused a post. `--crash` kills ingest instead: then
posts in flight are lost.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from runtime.kafka import topics
from tests.faults.harness.connection import Connection, request
from tests.faults.posting import event, ids_since
from tests.support.stack import Stack
from tests.support.topic import end_offsets

_KEPT_OPEN = 64
_ANSWER_SECONDS_MAX = 30.0
_RAN_SECONDS = 3.2  # a process that crashed within 3 s waits before its next start
_PAUSE_SECONDS = 0.5


@dataclass(slots=True)
class Outcome:
    """The answers of one run."""

    statuses: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)  # event ids
    lost: int = 0  # acknowledged, but not in the topic
    seconds: list[float] = field(default_factory=list)  # from due to answered 200
    restart_seconds: list[float] = field(default_factory=list)  # from the signal to the next process

    @property
    def refused(self) -> int:
        """Posts that were not answered 200."""
        return self.statuses.total() - self.statuses["200"]

    def text(self) -> str:
        """Return the outcome in one line."""
        ordered = sorted(self.seconds) or [0.0]
        middle, last = ordered[len(ordered) // 2], ordered[-1]
        slowest = max(self.restart_seconds, default=0.0)
        return (
            f"{len(self.restart_seconds)} restarts, {self.statuses.total()} posts, {self.refused} refused "
            f"{dict(self.statuses)}, {self.lost} acknowledged and lost; "
            f"answers: median {middle * 1000:.0f} ms, slowest {last:.1f} s; restart: slowest {slowest:.1f} s"
        )


class Sender:
    """Posts at a rate until stopped."""

    def __init__(self, url: str, rate: float) -> None:
        parts = urlsplit(url)
        self._path, self._address = parts.path, (parts.hostname or "", parts.port or 0)
        self._rate = rate
        self._kept_open = deque(Connection(*self._address) for _ in range(_KEPT_OPEN))
        self.outcome = Outcome()

    async def run(self, stopping: asyncio.Event) -> None:
        """Post until `stopping` is set, and wait for all answers."""
        began, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while not stopping.is_set():
                due = began + number / self._rate
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                group.create_task(self._post(number, due))
                number += 1
        for connection in self._kept_open:
            connection.close()

    async def _post(self, number: int, due: float) -> None:
        body = request(self._path, b"", event(number))
        is_kept_open = number % 2 == 0 and bool(self._kept_open)
        connection = self._kept_open.popleft() if is_kept_open else Connection(*self._address)
        try:
            status = str(await connection.post(body, _ANSWER_SECONDS_MAX))
        except (OSError, EOFError, TimeoutError) as error:
            status = type(error).__name__
        self.outcome.statuses[status] += 1
        if status == "200":
            self.outcome.acknowledged.add(str(number))
            self.outcome.seconds.append(time.perf_counter() - due)
        if is_kept_open:
            self._kept_open.append(connection)
        else:
            connection.close()


async def measure(stack: Stack, restarts: int, rate: float, number: signal.Signals) -> Outcome:
    """Return the outcome of that many restarts of the running stack's ingest by signal `number`."""
    before = end_offsets(stack.kafka, topics.EVENTS)
    stopping = asyncio.Event()
    sender = Sender(stack.ingest_url, rate)
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.run(stopping))
        for _ in range(restarts):
            await asyncio.sleep(_RAN_SECONDS if number == signal.SIGKILL else _PAUSE_SECONDS)
            pid, began = stack.kill("ingest", number), time.monotonic()
            answered = len(sender.outcome.seconds)
            async with asyncio.timeout(_ANSWER_SECONDS_MAX):
                # Another process ends the wait.
                while _pid(stack) in (pid, 0) or len(sender.outcome.seconds) < answered + rate:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            sender.outcome.restart_seconds.append(time.monotonic() - began)
        await asyncio.sleep(1.0)
        stopping.set()
    found = {event_id for ids in ids_since(stack.kafka, before).values() for event_id in ids}
    sender.outcome.lost = len(sender.outcome.acknowledged - found)
    return sender.outcome


def _pid(stack: Stack) -> int:
    try:
        return stack.pid("ingest")
    except (OSError, ValueError):
        return 0


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.restarts")
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--rate", type=float, default=300.0, help="posts per second")
    parser.add_argument("--crash", action="store_true", help="SIGKILL instead of SIGTERM")
    arguments = parser.parse_args()
    number = signal.SIGKILL if arguments.crash else signal.SIGTERM
    with tempfile.TemporaryDirectory(prefix="tapline-restarts-") as folder:
        stack = Stack(Path(folder), "kafka,ingest").start()
        try:
            outcome = asyncio.run(measure(stack, arguments.restarts, arguments.rate, number))
        finally:
            stack.stop()
    sys.stdout.write(outcome.text() + os.linesep)
    return 1 if outcome.lost or (outcome.refused and not arguments.crash) else 0


if __name__ == "__main__":
    sys.exit(main())
