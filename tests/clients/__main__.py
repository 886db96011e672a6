"""`make test-clients`: what clients in other languages read of our topic must equal what was posted.

Ten thousand events of all types are posted to a stack of its own; each client prints what it reads as JSON
lines, and each line is compared with the body that was posted. The programs are those of
consumers/clients.md. Exit status: 0; 1 when anything differs, a client fails, or none can run here.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import jars, kafka
from schemas.catalog.catalog import Catalog
from tests.clients.events import COUNT, Reading, bodies, differences, post, reading
from tests.stack import ROOT, Stack

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("TAPLINE_CACHE") or ROOT / ".cache")
_SECONDS_MAX = 300.0
_TOLD_MAX = 10
_CATALOG = Catalog.load()


@dataclass(frozen=True)
class Client:
    """A program that prints the topic."""

    name: str
    needs: tuple[tuple[str, ...], ...]  # commands that must succeed for it to run
    folder: Path  # where it runs
    prepare: tuple[tuple[str, ...], ...]
    command: tuple[str, ...]
    has_null_lists: bool = True

    def missing(self) -> str:
        """Return what is missing to run it; a name on PATH may be a version manager's stub."""
        return ", ".join(need[0] for need in self.needs if not _succeeds(need))


def clients() -> list[Client]:
    """Return all of them; where packages are put, nothing is written into the checkout."""
    node, built = CACHE / "clients" / "node", CACHE / "clients" / "go-read"
    java = (CACHE / f"kafka-{kafka.VERSION}", CACHE / "clients" / "java")
    classes = os.pathsep.join(f"{folder}/*" for folder in java)
    npm = ("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
    return [
        Client("node", (("node", "--version"), ("npm", "--version")), node, (npm,), ("node", "read.js")),
        Client(
            "go",
            (("go", "version"),),
            HERE / "go",
            (("go", "build", "-o", str(built), "."),),
            (str(built),),
        ),
        Client(
            "java",
            (("javac", "-version"), ("java", "-version")),
            HERE / "java",
            (),
            ("java", "-cp", classes, "Read.java"),
        ),
        Client(
            "clickhouse",
            (),
            ROOT,
            (),
            (sys.executable, "-m", "tests.clients.read_confluent"),
            has_null_lists=False,
        ),
    ]


def main(names: Sequence[str]) -> int:
    """Run the clients named, or all; return the exit status."""
    chosen = [client for client in clients() if not names or client.name in names]
    able = []
    for client in chosen:
        if missing := client.missing():
            _say(f"{client.name}: not run: {missing} is missing on this machine")
        else:
            able.append(client)
    if not able:
        _say("no client can run here")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), "kafka,ingest").start()
        try:
            return _judge(stack, able)
        finally:
            stack.stop()


def _judge(stack: Stack, able: Sequence[Client]) -> int:
    began, events = time.monotonic(), bodies()
    asyncio.run(post(stack.ingest_url, events))
    _say(f"posted {len(events)} events in {time.monotonic() - began:.1f} s")
    where = {"KAFKA": stack.kafka, "REGISTRY": f"{stack.admin_url}/registry"}
    failed = 0
    for client in able:
        began = time.monotonic()
        try:
            told = [*differences(events, _read(client, where), has_null_lists=client.has_null_lists)]
        except (ClientFailedError, subprocess.CalledProcessError) as error:
            told = [str(error)]
        took = f"{time.monotonic() - began:.1f} s"
        _say(
            f"{client.name}: {len(told)} differences ({took})"
            if told
            else f"{client.name}: as posted ({took})"
        )
        for line in told[:_TOLD_MAX]:
            _say(f"  {line[:500]}")
        failed += bool(told)
    return 1 if failed else 0


class ClientFailedError(Exception):
    """A client ended, or did not read everything in time."""


def _read(client: Client, where: dict[str, str]) -> list[Reading]:
    """Return what a client prints until it has printed as many events as there are."""
    _prepare(client)
    with subprocess.Popen(
        client.command, cwd=client.folder, env=os.environ | where, stdout=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(_SECONDS_MAX, process.kill)
        watchdog.start()
        try:
            lines = [*_lines(process)]
        finally:
            watchdog.cancel()
            process.kill()
    if len(lines) < COUNT:
        raise ClientFailedError(f"ended after {len(lines)} of {COUNT} events (status {process.returncode})")
    return [_reading(line) for line in lines]


def _prepare(client: Client) -> None:
    client.folder.mkdir(parents=True, exist_ok=True)
    if client.name == "node":
        for path in (HERE / "node").iterdir():
            shutil.copy(path, client.folder)
    if client.name == "java":
        jars.fetch(CACHE / "clients" / "java", jars.read_list(HERE / "java" / "jars.sha256"), _say)
    for command in client.prepare:
        subprocess.run(command, cwd=client.folder, check=True, stdout=sys.stderr)


def _lines(process: "subprocess.Popen[str]") -> Iterator[str]:
    assert process.stdout
    for number, line in enumerate(process.stdout, 1):
        yield line
        if number == COUNT:
            return


def _reading(line: str) -> Reading:
    event = json.loads(line)
    release = _CATALOG.newest(event["event_type"])
    return reading(release.name if release and "raw" not in event else _CATALOG.unmodelled.name, event)


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
