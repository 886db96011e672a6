"""A consumer of the kit that dies at a chosen line: `python -m tests.support.kit PLAN` (JSON).

For each fate in the plan it forks one consumer that dies by SIGKILL at that line of the kit, then one that
survives, in the same group. The body of their loop writes each event's id. It prints one line per fate: the
ids written, and whether the first consumer died.
"""

import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

import consumers.kit.reader
from consumers.kit import events

_SECONDS_MAX = 40.0
_FORKED_MAX = 6  # at once
_BODY_SECONDS = 0.03
_BOUNDS = {"_RECORDS_MAX": 3, "_RETRY_SECONDS_MAX": 0.2}


class Fate(msgspec.Struct, frozen=True):
    """Where a consumer dies: before the line of that number in these functions of the kit."""

    line: int
    functions: tuple[str, ...] = ()  # empty: all, after the first event


class Plan(msgspec.Struct, frozen=True):
    """The plan."""

    kafka: str
    app: str
    count: int  # events of the app
    folder: str
    fates: tuple[Fate, ...]
    commit_seconds: float = 0.0


def main(text: str) -> None:
    """Execute the plan."""
    plan = msgspec.json.decode(text, type=Plan)
    # More small batches pass more lines.
    for name, value in {**_BOUNDS, "_COMMIT_SECONDS": plan.commit_seconds}.items():
        setattr(consumers.kit.reader, name, value)
    running: dict[int, Fate] = {}
    waiting = [*plan.fates]
    while waiting or running:
        while waiting and len(running) < _FORKED_MAX:
            fate = waiting.pop(0)
            running[_forked(lambda fate=fate: _tried(plan, fate))] = fate  # type: ignore[misc]
        pid, _ = os.wait()
        fate = running.pop(pid)
        path = path_of(plan, fate)
        told = json.loads(path.with_suffix(".json").read_text())
        line = json.dumps({"line": fate.line, "ids": path.read_text().split(), **told})
        sys.stdout.write(f"{line}\n")


def path_of(plan: Plan, fate: Fate) -> Path:
    """Return the file of ids; its stem ends the group's name."""
    return Path(plan.folder) / f"{'-'.join(fate.functions) or 'any'}-{fate.line}"


def _tried(plan: Plan, fate: Fate) -> None:
    path = path_of(plan, fate)
    path.touch()
    dying = _forked(lambda: _consume(plan, path, fate))
    status = os.waitstatus_to_exitcode(os.waitpid(dying, 0)[1])
    living = _forked(lambda: _consume(plan, path, None))
    last = os.waitstatus_to_exitcode(os.waitpid(living, 0)[1])
    path.with_suffix(".json").write_text(json.dumps({"died": status == -signal.SIGKILL, "last": last}))


def _consume(plan: Plan, path: Path, fate: Fate | None) -> None:
    env = {
        "KAFKA_BOOTSTRAP_SERVERS": plan.kafka,
        # The next consumer takes the dead one's place at once.
        "KAFKA_GROUP_INSTANCE_ID": "one",
    }
    stream = events(f"{plan.app}-{path.stem}", app_id=plan.app, env=env)
    # Not by a signal: that is how a consumer dies at its line.
    watchdog = threading.Timer(_SECONDS_MAX, os._exit, [1])
    watchdog.daemon = True
    watchdog.start()
    if fate and fate.functions:
        sys.settrace(_killer(fate))
    with path.open("a") as file:
        for event in stream:
            if fate and not fate.functions and sys.gettrace() is None:
                _trace_from_here(fate)
            # Slow work: a premature commit reaches Kafka before it ends.
            threading.Event().wait(_BODY_SECONDS)
            file.write(f"{event['event_id']}\n")
            file.flush()
            if fate is None and len(set(path.read_text().split())) >= plan.count:
                stream.stop()
    sys.settrace(None)


def _trace_from_here(fate: Fate) -> None:
    """Also trace the frames that are already running."""
    killer = _killer(fate)
    sys.settrace(killer)
    frame: FrameType | None = sys._getframe()
    while frame := frame.f_back if frame else None:
        frame.f_trace = killer


def _killer(fate: Fate) -> Callable[[FrameType, str, Any], Any]:
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        code = frame.f_code
        is_kit = "/consumers/kit/" in code.co_filename or code.co_name == "_consume"
        if not is_kit or (fate.functions and code.co_name not in fate.functions):
            return None
        lines += event == "line"
        if lines > fate.line:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def _forked(act: Callable[[], None]) -> int:
    if pid := os.fork():
        return pid
    try:
        act()
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
