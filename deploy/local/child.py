"""`python -m deploy.local.child RUN_DIR NAME SIGNAL VARIABLES KEEPER PROGRAM...` becomes the program.

Invariants: the process gets SIGNAL when its parent ends in any way (Linux). RUN_DIR/NAME.pid holds its id.
Its environment has only the VARIABLES (comma separated) and the name of RUN_DIR, by which a later start
recognises an orphan. It gets the sockets of the `SocketKeeper` at the address KEEPER, if that is not empty. A
program that ended right after its start waits here before the next attempt.
"""

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deploy.local import socket_keeper, starts
from runtime import command
from runtime.http.socket_store import LISTEN_FDS_START

MARK = "TAPLINE_RUN_DIR"
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> NoReturn:
    """Become the program. Raises: OSError."""
    run_dir, name, signal_name, variables, keeper, *program = arguments
    die_with_parent(signal.Signals[signal_name])
    path = Path(run_dir) / f"{name}.pid"
    new = path.with_suffix(".pid.new")
    new.write_text(f"{os.getpid()}\n")
    new.replace(path)
    start = starts.following(starts.read(path.parent, name), time.time())
    starts.write(path.parent, name, start)
    time.sleep(start.pause_seconds)
    env = {name: os.environ[name] for name in variables.split(",") if name in os.environ}
    if keeper:
        env |= _with_sockets(keeper)
    os.execvpe(program[0], program, env | {MARK: run_dir})  # noqa: S606 - replaces this process on purpose


def _with_sockets(keeper: str) -> dict[str, str]:
    """Place the kept sockets where the command expects them, and return the variables that say so."""
    found = socket_keeper.fetch(keeper)
    # First out of the way: a target may be another's current number.
    above = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, LISTEN_FDS_START + len(found)) for one in found]
    for number, one in enumerate(above):
        os.dup2(one, LISTEN_FDS_START + number)
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(found)), "NOTIFY_SOCKET": keeper}


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send `number` to this process when its parent ends; only Linux can."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, number.value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def parent_handles(number: signal.Signals) -> bool:
    """Return whether the parent blocks `number`, as it does while its handler runs.

    If only GNU make gets SIGINT (`kill -INT`, not Ctrl-C), it stays in its handler until its child ends,
    without signalling the child.
    """
    try:
        status = Path(f"/proc/{os.getppid()}/status").read_text()
    except OSError:
        return False
    return bool(int(status.partition("SigBlk:")[2].split()[0], 16) >> (number - 1) & 1)


if __name__ == "__main__":
    command.main("child", main)
