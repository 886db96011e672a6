"""`make run` on a folder with data -> seconds to its ready line; and again after a kill -9 of everything.

Warm: the environment and Kafka's jars are installed, files are in the page cache. Invariant: the second start
has every event acknowledged before the kill, once.
"""

import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from tests.bench.options import Options
from tests.bench.report import Section, goal, say, spread
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Tables, body

_WARM_MOST, _KILLED_MOST = 10.0, 15.0
_EVENTS = 200


class LostError(AssertionError):
    """An acknowledged event is missing after the start."""


def run(options: Options) -> Section:
    """Start repeatedly. Raises: LostError."""
    warm, killed = [], []
    with tempfile.TemporaryDirectory(prefix="tapline-bench-") as folder:
        stack = Stack(Path(folder))
        _started(stack)  # creates the folder, its topics and tables
        stack.stop()
        for number in range(1, options.rounds + 1):
            warm.append(_started(stack))
            _post(stack, number)
            _kill_all(stack)
            killed.append(_started(stack))
            _check(stack, number * _EVENTS)
            stack.stop()
            say(f"round {number}: warm {warm[-1]:.1f} s, after kill -9 of everything {killed[-1]:.1f} s")
    goals = [
        goal("warm, to ready, s", spread(warm), most=_WARM_MOST),
        goal("after kill -9 of everything, s", spread(killed), most=_KILLED_MOST),
    ]
    return Section("start", "Start", f"{options.rounds} rounds.", goals, [])


def _started(stack: Stack) -> float:
    began = time.monotonic()
    stack.start()
    return time.monotonic() - began


def _post(stack: Stack, number: int) -> None:
    with httpx.Client() as client:
        for event in range(_EVENTS):
            data = body(app_id="bench-start", event_id=f"{number}-{event}")
            if client.post(stack.ingest_url, content=data).status_code != httpx.codes.OK:
                raise LostError(f"event {event} of round {number} was not answered 200")


def _kill_all(stack: Stack) -> None:
    """Kill the command, the supervisor and every service at once, and wait until all are gone."""
    process = stack.process
    assert process is not None
    family = [*psutil.Process(process.pid).children(recursive=True)]
    for one in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    stack.stop(signal.SIGKILL)
    psutil.wait_procs(family, timeout=30)


def _check(stack: Stack, expected: int) -> None:
    tables = Tables(stack.clickhouse_url)
    sql = "SELECT count() FROM tapcart.app_opened WHERE app_id = 'bench-start'"
    try:
        eventually(lambda: bool(tables.one(sql) == expected), 60)
    except AssertionError:
        raise LostError(f"{tables.one(sql)} of {expected} events are there after the kill") from None
