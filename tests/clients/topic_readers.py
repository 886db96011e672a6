"""The programs of consumers/clients.md, which print the topic as JSON lines, with libraries as installed.

Invariant: every event must be read once, as it was posted, field by field.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence

from deploy.local import kafka
from schemas.catalog.catalog import Catalog
from tests.clients import program
from tests.clients.events import COUNT, Reading, differences, reading
from tests.clients.program import CACHE, HERE, Program, ProgramFailedError

_CATALOG = Catalog.load()
_JAVA = os.pathsep.join(
    f"{folder}/*" for folder in (CACHE.parent / f"kafka-{kafka.VERSION}", program.cached(HERE / "java"))
)


def readers() -> Iterator[Program]:
    """Yield all of them."""
    go, java, python = (HERE / name for name in ("go", "java", "python"))
    for name in ("node", "node-rdkafka"):
        prepare, cached = program.node(HERE / name), program.cached(HERE / name)
        is_slow = name == "node-rdkafka"  # npm compiles it
        yield Program(name, ("node", "read.js"), program.NPM, prepare, cached, is_slow=is_slow)
    yield Program("go", (str(program.cached(go)),), program.GO, program.go(go))
    yield Program(
        "java",
        ("java", "-cp", _JAVA, "Read.java"),
        program.JAVA,
        program.java(java),
        java,
    )
    confluent = (sys.executable, str(python / "read_confluent_kafka.py"))
    yield Program("confluent_kafka", confluent)
    for name, needs in (("aiokafka", ()), ("kafka_python", ()), ("kcat", (("kcat", "-V"),))):
        command = (str(program.cached(python) / "bin/python"), f"read_{name}.py")
        yield Program(name, command, needs, program.python(python), python)
    clickhouse = (sys.executable, "-m", "tests.clients.read_confluent")
    yield Program("clickhouse", clickhouse, has_null_lists=False)


def faults(reader: Program, events: Sequence[bytes], env: dict[str, str]) -> list[str]:
    """Return the events that a reader did not read as posted. Raises: ProgramFailedError."""
    lines = reader.lines(env, COUNT)
    if len(lines) < COUNT:
        raise ProgramFailedError(f"ended after {len(lines)} of {COUNT} events")
    return [*differences(events, [*map(_reading, lines)], has_null_lists=reader.has_null_lists)]


def _reading(line: str) -> Reading:
    event = json.loads(line)
    release = _CATALOG.newest(event["event_type"])
    return reading(release.name if release and "raw" not in event else _CATALOG.unmodelled.name, event)
