"""`make test-clients`: clients as installed, on a running stack.

Ten thousand events of all types are posted to a stack of its own, behind a record of another producer. Each
reader prints the topic as JSON lines, and each line is compared with the posted body. Each SQL client then
prints the answers of ClickHouse's HTTP port, which are compared with the bodies. Exit status: 0; 1 when
anything differs, a program fails, or none can run here. Programs that are missing on this machine, or cannot
be downloaded, are reported and left out.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from deploy.local.errors import StackError
from tests.clients import apicurio, sql_clients, topic_readers
from tests.clients.events import bodies, post
from tests.clients.program import NotFetchedError, Program, ProgramFailedError, say
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Sender

_SHOWN_MAX = 10
_LOAD_SECONDS_MAX = 120.0
_LINE_CHARACTERS_MAX = 500


def main(arguments: Sequence[str]) -> int:
    """Run the named programs, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="make test-clients")
    parser.add_argument("names", nargs="*", help="of the programs; all when none is named")
    parser.add_argument("--all", action="store_true", help="also those that take minutes")
    asked = parser.parse_args(arguments)
    readers = [*_able(topic_readers.readers(), asked)]
    clients = [*_able(sql_clients.clients(), asked)]
    registries = [*_able([apicurio.PROGRAM], asked)]
    if not readers and not clients and not registries:
        say("no client can run here")
        return 1
    failed = [_fails(one, partial(apicurio.faults, bodies())) for one in registries]
    if not readers and not clients:
        return 1 if any(failed) else 0
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), f"kafka,ingest{',clickhouse,warehouse' if clients else ''}").start()
        try:
            failed += _judge(stack, readers, clients)
        finally:
            stack.stop()
    return 1 if any(failed) else 0


def _able(programs: Iterable[Program], asked: argparse.Namespace) -> Iterator[Program]:
    for one in programs:
        if asked.names and one.name not in asked.names:
            continue
        if one.is_slow and not asked.all and not asked.names:
            say(f"{one.name}: not run: it takes minutes; ARGS=--all runs it")
        elif missing := one.missing():
            say(f"{one.name}: not run: {missing} is missing on this machine")
        else:
            yield one


def _judge(stack: Stack, readers: Sequence[Program], clients: Sequence[Program]) -> list[bool]:
    began, events = time.monotonic(), bodies()
    sender = Sender(stack.kafka, time.time_ns() // 1_000_000)
    sender.put(b"of another producer", headers=[])
    sender.flush()
    asyncio.run(post(stack.ingest_url, events))
    eventually(lambda: _is_direct(stack), _LOAD_SECONDS_MAX, "the spool to be empty")
    say(f"posted {len(events)} events in {time.monotonic() - began:.1f} s")
    env = {
        "KAFKA": stack.kafka,
        "REGISTRY": f"{stack.admin_url}/registry",
        "CLICKHOUSE": stack.clickhouse_url,
    }
    failed = [_fails(one, partial(topic_readers.faults, one, events, env)) for one in readers]
    if clients:
        eventually(lambda: _loaded(stack) == len(events), _LOAD_SECONDS_MAX, "events in ClickHouse")
    failed += [_fails(one, partial(sql_clients.faults, one, events, env)) for one in clients]
    return failed


def _is_direct(stack: Stack) -> bool:
    """Return whether all events are in the topic: on a busy machine some take the way over the spool."""
    with urllib.request.urlopen(f"{stack.admin_url}/readyz", timeout=10) as answer:
        state = json.load(answer)
    return bool(state["state"] == "direct" and state["spool_records"] == 0)


def _loaded(stack: Stack) -> int:
    sql = b"SELECT count() FROM tapcart.events"
    with urllib.request.urlopen(stack.clickhouse_url, sql, timeout=10) as answer:
        return int(answer.read())


def _fails(one: Program, faults: Callable[[], list[str]]) -> bool:
    began = time.monotonic()
    try:
        one.prepare()
        prepared = time.monotonic()
        found = faults()
    except NotFetchedError as error:
        say(f"{one.name}: not run: cannot be downloaded: {error}")
        return False
    except (ProgramFailedError, StackError) as error:
        say(f"{one.name}: {error}")
        return True
    took = f"{time.monotonic() - prepared:.1f} s, {prepared - began:.1f} s to prepare"
    say(f"{one.name}: {f'{len(found)} differences' if found else 'as expected'} ({took})")
    for line in found[:_SHOWN_MAX]:
        say(f"  {line[:_LINE_CHARACTERS_MAX]}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
