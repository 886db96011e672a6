"""One part in a process of its own: `python -m tests.bench.part NAME --out FILE`, and how to run that.

Invariant: however the part ends, nothing that it started keeps running.
"""

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from tests.bench import (
    compare_loaders,
    compare_queries,
    compare_receivers,
    days,
    doubling,
    growth,
    highest,
    idle,
    memory,
    sizes,
    spooling,
    starting,
    system,
)
from tests.bench.options import Options
from tests.bench.report import Section, say
from tests.support.stack import ROOT

_STOP_SECONDS_MAX = 100.0  # a stack stops in 90 s at most
_KILL_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the bench."""

    run: Callable[[Options], Section]
    rounds: int  # of a usual run
    seconds_max: float  # of a usual run: two to four times what it takes
    long_seconds_max: float = 3600.0
    is_usual: bool = True  # else only a long run has it, or one of this part


PARTS: dict[str, Part] = {
    "receivers": Part(compare_receivers.run, 5, 420),  # with building Benthos, once
    "loaders": Part(compare_loaders.run, 2, 300),
    "spool": Part(spooling.run, 3, 120),
    "system": Part(system.run, 2, 300),
    "idle": Part(idle.run, 1, 150),
    "highest": Part(highest.run, 1, 480, 4 * 3600.0),
    "days": Part(days.run, 2, 300),
    "start": Part(starting.run, 2, 200),
    "growth": Part(growth.run, 2, 240),
    "queries": Part(compare_queries.run, 3, 420),
    "memory": Part(memory.run, 1, 240),
    "sizes": Part(sizes.run, 1, 150, is_usual=False),
    "two": Part(doubling.run, 2, 150, is_usual=False),
}


class PartFailedError(AssertionError):
    """A part failed, or was stopped because it took too long."""


def measure(name: str, options: Options) -> Section:
    """Run a part in a process of its own. Raises: PartFailedError."""
    with tempfile.TemporaryDirectory(prefix="tapline-bench-") as folder:
        out = Path(folder) / "section.json"
        command = [sys.executable, "-m", "tests.bench.part", name, "--out", str(out)]
        command += ["--rounds", str(options.rounds)]
        command += ["--smoke"] if options.smoke else ["--long"] if options.long else []
        part = PARTS[name]
        # A smoke run measures nothing, so it may run on a busy machine.
        end(command, part.seconds_max if not options.long and not options.smoke else part.long_seconds_max)
        try:
            return msgspec.json.decode(out.read_bytes(), type=Section)
        except msgspec.MsgspecError as error:  # such as a figure that is infinite
            raise PartFailedError(f"has results that cannot be read: {error}") from error


def end(command: Sequence[str], seconds_max: float) -> None:
    """Run a command to its end. Raises: PartFailedError, also if it takes longer than that."""
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        status = process.wait(seconds_max)
    except subprocess.TimeoutExpired:
        raise PartFailedError(f"stopped after {seconds_max:.0f} s, its limit") from None
    finally:
        stop(process)
    if status:
        raise PartFailedError(f"failed with status {status}, see above")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, so that it stops what it started; then kill what is left of them."""
    if process.poll() is not None:
        return
    family = _family(process)
    process.terminate()
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        say("it did not stop in time, and is killed")
        family += _family(process)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, _KILL_SECONDS_MAX)
    process.wait()


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        top = psutil.Process(process.pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []  # it has just ended


def _end_in_order(number: int, _: object) -> None:
    """Leave all `with` and `finally` blocks, once: what they stop takes its time."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> int:
    """Measure one part, and write its section as JSON; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.part")
    parser.add_argument("name", choices=PARTS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--long", action="store_true")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_in_order)
    began = time.monotonic()
    try:
        section = PARTS[given.name].run(Options(given.rounds, smoke=given.smoke, long=given.long))
    except AssertionError as error:
        say(f"{given.name}: {error}")
        return 1
    given.out.write_bytes(msgspec.json.encode(section))
    say(f"{given.name}: {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
