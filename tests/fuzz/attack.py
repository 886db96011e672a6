"""Cases -> answers, over many connections at once, at a bounded rate, beside ordinary traffic.

Invariants: loopback only; every exchange ends within a bound; a finding names its target, seed and number.
"""

import asyncio
import contextlib
import itertools
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from confluent_kafka import Producer

from runtime.kafka import topics
from tests.fuzz.case import Case, Generator, Place, request
from tests.fuzz.oracle import Answer, Judge
from tests.support.stack import ROOT

_ANSWER_SECONDS_MAX = 10.0
_QUIET_SECONDS = 0.15  # until the server waits for more; then the connection is half closed
_BETWEEN_PARTS_SECONDS = 0.001
_ANSWER_BYTES_MAX = 4 * 1024 * 1024
_FINDINGS_MAX = 20
_HEALTHY_PER_SECOND = 20
_PROGRESS_SECONDS = 30.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_SAMPLE = json.loads((ROOT / "deploy" / "samples" / "mobile" / "AppOpened.json").read_bytes())


@dataclass(frozen=True, slots=True)
class Target:
    """One port, or the topic."""

    name: str
    port: int  # 0: the topic
    make: Generator
    judge: Judge


@dataclass(slots=True)
class Figures:
    """The result of a phase."""

    requests: Counter[str] = field(default_factory=Counter)  # by target
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)  # by target; 0: no answer
    findings: list[str] = field(default_factory=list)
    healthy: list[float] = field(default_factory=list)  # seconds per answer
    healthy_ids: list[str] = field(default_factory=list)  # answered 200


class Attack:
    """One phase: workers that send cases until a bound is reached, and ordinary posts beside them."""

    def __init__(self, place: Place, ingest_port: int, producer: Producer | None, seed: int) -> None:
        self.figures = Figures()
        self._place = place
        self._ingest_port = ingest_port
        self._producer = producer
        self._seed = seed

    async def run(self, targets: list[Target], *, requests: int, rate: float, connections: int) -> None:
        """Send `requests` cases, `rate` a second at most, spread over `targets`."""
        began = time.monotonic()
        numbers = iter(range(requests))

        async def work() -> None:
            for number in numbers:
                if (wait := began + number / rate - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                await self._attempt(targets[number % len(targets)], number)

        beside = [asyncio.create_task(self._healthy()), asyncio.create_task(self._progress(requests))]
        async with asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(work())
        for task in beside:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _attempt(self, target: Target, number: int) -> None:
        case = target.make(Random(f"{self._seed}/{target.name}/{number}"), self._place)
        self.figures.requests[target.name] += 1
        if case.record is not None:
            self._produce(case)
            return
        raw = await exchange(target.port, case)
        answer = Answer.parse(raw)
        self.figures.statuses[target.name, answer.status] += 1
        if (fault := target.judge(answer)) and len(self.figures.findings) < _FINDINGS_MAX:
            self.figures.findings.append(f"{target.name} case {number} of seed {self._seed}: {fault}")

    def _produce(self, case: Case) -> None:
        assert self._producer is not None
        assert case.record is not None
        key, value, headers = case.record
        with contextlib.suppress(BufferError):
            self._producer.produce(topics.EVENTS, value, key, headers=[*headers])
        self._producer.poll(0)

    async def _progress(self, requests: int) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            figures = self.figures
            sent = f"{figures.requests.total():,} of {requests:,} cases"
            sys.stderr.write(f"{sent}, {len(figures.findings)} findings\n")

    async def _healthy(self) -> None:
        for number in itertools.count():
            event_id = f"healthy-{self._seed}-{time.monotonic_ns()}"
            body = json.dumps(_SAMPLE | {"event_id": event_id, "app_id": "healthy"}).encode()
            began = time.monotonic()
            case = Case((request(self._place.path, body),))
            answer = Answer.parse(await exchange(self._ingest_port, case, half_closes=False))
            self.figures.healthy.append(time.monotonic() - began)
            if answer.status == 200:
                self.figures.healthy_ids.append(event_id)
            else:
                self.figures.findings.append(f"ordinary event {number} was answered {answer.status}")
            await asyncio.sleep(1 / _HEALTHY_PER_SECOND)


def ordinary(name: str, port: int, judge: Judge) -> Target:
    """Return a target that gets ordinary events: the load of the baseline."""

    def make(rng: Random, place: Place) -> Case:
        body = json.dumps(_SAMPLE | {"event_id": f"ordinary-{rng.getrandbits(64):x}"}).encode()
        return Case((request(place.path, body),))

    return Target(name, port, make, judge)


async def exchange(port: int, case: Case, *, half_closes: bool = True) -> bytes:
    """Return the answer to a case on a connection of its own; empty if there was none.

    `half_closes`: once the server is quiet, the sending side is closed, so the server need not wait for more.
    """
    writer: asyncio.StreamWriter | None = None
    answer = bytearray()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_SECONDS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionError):
                await _send(writer, case)
            if not case.hangs_up:
                await _read(reader, writer if half_closes else None, answer)
    if writer is not None:
        writer.transport.abort()
    return bytes(answer)


async def _send(writer: asyncio.StreamWriter, case: Case) -> None:
    for index, part in enumerate(case.parts):
        if index:
            await asyncio.sleep(_BETWEEN_PARTS_SECONDS)
        writer.write(part)
        await writer.drain()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None, answer: bytearray) -> None:
    half_closed = writer is None
    while len(answer) < _ANSWER_BYTES_MAX and not _is_whole(answer):
        try:
            some = await asyncio.wait_for(reader.read(65536), None if half_closed else _QUIET_SECONDS)
        except TimeoutError:
            half_closed = True
            if writer and writer.can_write_eof():
                writer.write_eof()
            continue
        if not some:
            return
        answer += some


def _is_whole(answer: bytearray) -> bool:
    head, ends, body = answer.partition(b"\r\n\r\n")
    if not ends or head.startswith(b"HTTP/1.1 1"):
        return False
    length = _LENGTH.search(head + b"\r\n")
    return length is not None and len(body) >= int(length[1])


def percentile(seconds: list[float], share: float) -> float:
    """Return the seconds within which a share of the answers came; 0 without answers."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
