"""`python -m deploy.local.restart [NAME]` -> a process of the running stack, stopped and started again.

For a new version of the code. Posts wait meanwhile and none is refused, because the stack keeps ingest's
sockets. Settings are those of `make run`: a changed variable needs a new `make run`. Exit status: 0 when the
new process is ready; 1 if there is no stack, or the process is not ready in time; all else: see
`runtime.command`.
"""

import argparse
import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from deploy.local import services
from deploy.local.errors import StackError
from deploy.local.settings import Settings
from runtime import command
from runtime.waiting import wait_until

_NAMES = ("ingest", "warehouse", "live")
_STOP_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.05


def main(given: Sequence[str]) -> int:
    """Restart; return the exit status. Raises: StackError."""
    parser = argparse.ArgumentParser(
        prog="tapline restart", description="Restart a process of the running stack."
    )
    parser.add_argument("name", nargs="?", choices=_NAMES, default="ingest")
    name = parser.parse_args(given).name
    seconds = _restart(Settings.from_env(os.environ), name)
    print(f"{name}: a new process is ready after {seconds:.1f} s")
    return 0


def _restart(settings: Settings, name: str) -> float:
    """Return the seconds that it took. Raises: StackError."""
    began, path = time.monotonic(), settings.data_dir / "run" / f"{name}.pid"
    (service,) = services.services(settings, {name}, "", lambda _: None)
    before = _pid(path)
    try:
        os.kill(before, signal.SIGTERM)
    except ProcessLookupError:
        raise StackError(
            f"no {name} runs on the data folder {settings.data_dir}: `make run` starts it"
        ) from None

    def is_new() -> bool:
        with contextlib.suppress(OSError):
            return _pid(path) != before and service.ready()
        return False

    if not wait_until(is_new, _STOP_SECONDS_MAX + settings.start_seconds_max, _LOOK_SECONDS):
        raise StackError(f"{name} is not ready: see its log")
    return time.monotonic() - began


def _pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        raise StackError(
            f"no stack runs on the data folder {path.parents[1]}: `make run` starts it"
        ) from None


if __name__ == "__main__":
    command.main("restart", main)
