"""`python -m tests.faults.harness.sender`: posts like Tapcart until SIGTERM; its ledger is a file.

A separate process, so that no fault affects its memory of acknowledged posts. Twice a second it prints a line
of JSON with its counts. Invariants: only 400, 500 and a lost connection are retried, up to a time limit, then
the event is dropped; with `once`, nothing is retried. Every started post has its line in the ledger. Source:
Tapcart's public documentation ("after a 400 or 500 response" the event is sent again for 5 minutes).
"""

import argparse
import asyncio
import contextlib
import itertools
import signal
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import msgspec
import uvloop

from tests.faults.harness.connection import Connection, request
from tests.faults.harness.ledger import Entry, Ledger
from tests.faults.harness.posts import Post, Posts

_REQUEST_SECONDS_MAX, _ONCE_SECONDS_MAX = 15.0, 60.0
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.1, 3.0
# A body that is not JSON never succeeds: a few retries stand for the five minutes.
_PATIENCE_400_SECONDS = 1.0
_RETRIED = frozenset({0, 400, 500})
_LEDGER_SECONDS = 0.05
_TELL_SECONDS = 0.5


class Arguments(msgspec.Struct, frozen=True):
    """The sender's arguments."""

    url: str  # of ingest, with its token
    seed: int
    ledger: str
    rate: float = 0.0  # posts per second; 0: as fast as they are answered
    connections: int = 32
    patience: float = 300.0  # seconds
    # Sound posts, each sent once, whatever the answer; milliseconds count from the moment when it was due.
    once: bool = False
    authority: str = ""  # file with the certificate of a private one: HTTPS to this machine
    other_ports: tuple[int, ...] = ()  # of more ingests on the same host, which share the connections


def command(arguments: Arguments) -> list[str]:
    """Return the command that runs it."""
    return [sys.executable, "-m", "tests.faults.harness.sender", msgspec.json.encode(arguments).decode()]


class Sender:
    """All connections and their shared state."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._posts = Posts(arguments.seed, sound=arguments.once)
        self._ledger = Ledger(Path(arguments.ledger))
        self._numbers = itertools.chain.from_iterable(map(self._posts.block, itertools.count()))
        self._taken = 0
        self._stopping = asyncio.Event()
        url = urlsplit(arguments.url)
        self._path, self._host = url.path, url.netloc
        self._address = (url.hostname or "127.0.0.1", url.port or 80)
        self._tls: tuple[ssl.SSLContext, str] | tuple[()] = ()
        if arguments.authority:
            self._address = ("127.0.0.1", url.port or 443)
            self._tls = (ssl.create_default_context(cafile=arguments.authority), url.hostname or "")

    async def run(self) -> None:
        """Send until SIGTERM, then finish started posts."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        writing = asyncio.create_task(self._write())
        try:
            async with asyncio.TaskGroup() as tasks:
                for index in range(self._arguments.connections):
                    tasks.create_task(self._work(index))
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
            self._ledger.write()
            self._tell(over=True)

    async def _work(self, index: int) -> None:
        rng = Random(f"{self._arguments.seed}/{index}")
        host, port = self._address
        ports = (port, *self._arguments.other_ports)
        connection = Connection(host, ports[index % len(ports)], *self._tls)
        for number, again in self._due():
            due = time.monotonic() + (wait := self._seconds_till_due())
            if wait > 0:
                await asyncio.sleep(wait)
            post = self._posts.post(number)
            if self._arguments.once:
                self._ledger.add(await self._send_once(connection, post, due))
            else:
                await self._send(connection, post, rng, again=again)
        connection.close()

    def _due(self) -> Iterator[tuple[int, bool]]:
        while not self._stopping.is_set():
            yield next(self._numbers)

    def _seconds_till_due(self) -> float:
        if not self._arguments.rate:
            return 0.0
        if not self._taken:
            self._began = time.monotonic()
        self._taken += 1
        return self._began + self._taken / self._arguments.rate - time.monotonic()

    async def _send_once(self, connection: Connection, post: Post, due: float) -> Entry:
        began_us, status = int(time.monotonic() * 1e6), 0
        with contextlib.suppress(OSError, EOFError):
            sent = request(self._path, post.headers, post.body, self._host)
            status = await connection.post(sent, _ONCE_SECONDS_MAX)
        now = time.monotonic()
        return Entry(post.number, status, 1, round((now - due) * 1000), began_us, int(now * 1e6))

    async def _send(self, connection: Connection, post: Post, rng: Random, *, again: bool) -> None:
        path = self._path + "-not" if post.how == "no_token" else self._path
        sent = request(path, post.headers, post.body)
        if post.how == "cut":
            kept = len(sent) - rng.randrange(1, len(post.body))
            await connection.hang_up(sent[:kept], politely=rng.random() < 0.5)
            return
        began_us = int(time.monotonic() * 1e6)
        if post.how == "hung_up":
            await connection.hang_up(sent, politely=rng.random() < 0.5)
        entry = await self._answer(connection, post.number, sent, rng)
        self._ledger.add(msgspec.structs.replace(entry, began_us=began_us), again=again)

    async def _answer(self, connection: Connection, number: int, sent: bytes, rng: Random) -> Entry:
        began, pause = time.monotonic(), _PAUSE_SECONDS_MIN
        for requests in itertools.count(1):
            asked = time.monotonic()
            try:
                status = await connection.post(sent, _REQUEST_SECONDS_MAX)
            except (OSError, EOFError):
                status = 0
            now = time.monotonic()
            patience = _PATIENCE_400_SECONDS if status == 400 else self._arguments.patience
            if status not in _RETRIED or now - began > patience:
                milliseconds = round((now - asked) * 1000)
                return Entry(number, status, requests, milliseconds, int(began * 1e6), int(now * 1e6))
            await asyncio.sleep(pause * rng.uniform(0.5, 1.0))
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)
        raise AssertionError("count() has no end")

    async def _write(self) -> None:
        told = 0.0
        while True:
            await asyncio.sleep(_LEDGER_SECONDS)
            await asyncio.to_thread(self._ledger.write)
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                self._tell(over=False)

    def _tell(self, *, over: bool) -> None:
        said = {"over": over, "posts": self._ledger.counted, "acknowledged": self._ledger.acknowledged}
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        sys.stdout.buffer.flush()


def main() -> None:
    """Send until stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness.sender")
    parser.add_argument("arguments", help="JSON of `Arguments`")
    given = msgspec.json.decode(parser.parse_args().arguments, type=Arguments)
    uvloop.run(Sender(given).run())


if __name__ == "__main__":
    main()
