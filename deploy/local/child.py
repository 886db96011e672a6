"""`python -m deploy.local.child RUN_DIR NAME SIGNAL VARIABLES COMMAND...` -> the command, as this process.

Invariants: the process gets SIGNAL when its parent ends, however that ends (Linux); RUN_DIR/NAME.pid holds
its id; its environment has the VARIABLES (a list with commas) and no others, and names RUN_DIR, so that a
later start knows an orphan for its own. A command that ended as it started waits here before it is tried
again.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from deploy.local import starts

MARK = "TAPLINE_RUN_DIR"
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the command. Does not return."""
    run_dir, name, signal_name, variables, *command = arguments
    die_with_parent(signal.Signals[signal_name])
    path = Path(run_dir) / f"{name}.pid"
    new = path.with_suffix(".pid.new")
    new.write_text(f"{os.getpid()}\n")
    new.replace(path)
    start = starts.following(starts.read(path.parent, name), time.time())
    starts.write(path.parent, name, start)
    time.sleep(start.pause_seconds)
    env = {name: os.environ[name] for name in variables.split(",") if name in os.environ}
    os.execvpe(command[0], command, env | {MARK: run_dir})  # noqa: S606 - becoming another program is the point


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send `number` to this process when its parent ends; nothing but Linux can."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, number.value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def parent_handles(number: signal.Signals) -> bool:
    """Return whether the parent has `number` blocked, as it has while its handler runs.

    GNU make that alone gets SIGINT (`kill -INT`, not Ctrl-C) sits in its handler until its child ends, and
    does not tell the child.
    """
    try:
        status = Path(f"/proc/{os.getppid()}/status").read_text()
    except OSError:
        return False
    return bool(int(status.partition("SigBlk:")[2].split()[0], 16) >> (number - 1) & 1)


if __name__ == "__main__":
    main(sys.argv[1:])
