"""`make test-clients`: clients as installed, on a running stack.

Ten thousand events of all types are posted to a stack of its own. Each reader prints the topic as JSON lines,
and each line is compared with the body that was posted. Exit status: 0; 1 when anything differs, a program
fails, or none can run here. What is missing on this machine is said and left out.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from deploy.local.errors import StackError
from tests.clients import topic_readers
from tests.clients.events import bodies, post
from tests.clients.program import Program, ProgramFailedError, say
from tests.stack import Stack

_SHOWN_MAX = 10
_LINE_CHARACTERS_MAX = 500


def main(arguments: Sequence[str]) -> int:
    """Run the programs named, or all; return the exit status."""
    parser = argparse.ArgumentParser(prog="make test-clients")
    parser.add_argument("names", nargs="*", help="of the programs; all when none is named")
    parser.add_argument("--all", action="store_true", help="also those that take minutes")
    asked = parser.parse_args(arguments)
    readers = [*_able(topic_readers.readers(), asked)]
    if not readers:
        say("no client can run here")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), "kafka,ingest").start()
        try:
            return _judge(stack, readers)
        finally:
            stack.stop()


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


def _judge(stack: Stack, readers: Sequence[Program]) -> int:
    began, events = time.monotonic(), bodies()
    asyncio.run(post(stack.ingest_url, events))
    say(f"posted {len(events)} events in {time.monotonic() - began:.1f} s")
    env = {"KAFKA": stack.kafka, "REGISTRY": f"{stack.admin_url}/registry"}
    failed = [_fails(one, partial(topic_readers.faults, one, events, env)) for one in readers]
    return 1 if any(failed) else 0


def _fails(one: Program, faults: Callable[[], list[str]]) -> bool:
    began = time.monotonic()
    try:
        one.prepare()
        prepared = time.monotonic()
        found = faults()
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
