"""The programs of consumers/clients.md, which print the topic as JSON lines, with libraries as installed.

Invariant: every event must be read as it was posted, field by field, and a foreign record must be skipped.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence

from deploy.local import kafka
from runtime.kafka import topics
from schemas.catalog.catalog import Catalog
from tests.clients import program
from tests.clients.events import Reading, differences, reading
from tests.clients.program import CACHE, HERE, Program, ProgramFailedError
from tests.support.topic import end_offsets

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
    records = sum(end_offsets(env["KAFKA"], topics.EVENTS).values()) - 1  # one is of another producer
    lines = reader.lines(env, records)
    if len(lines) < records:
        raise ProgramFailedError(f"ended after {len(lines)} of {records} events")
    readings, again = [*map(_reading, lines)], records - len(events)
    return [*differences(events, readings, has_null_lists=reader.has_null_lists, again=again)]


def _reading(line: str) -> Reading:
    event = json.loads(line)
    release = _CATALOG.newest(event["event_type"])
    return reading(release.name if release and "raw" not in event else _CATALOG.unmodelled.name, event)
