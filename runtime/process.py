"""One process from start to exit status, the same for all of ours.

Exit status: 0 after an orderly stop. 2 if the operator must act (a setting, an address in use): one sentence
on standard error, no traceback. 1 after an unexpected failure: the log has its traceback, the other parts
were stopped, and the supervisor should restart the process. All else: see `runtime.command`.

Invariants: a part is a task or thread that lives as long as its process. If one fails or ends, the process
stops instead of continuing without it. A stop after a failure takes a bounded time, even if something hangs.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from runtime import command
from runtime.environment import log_as_json
from runtime.version import VERSION

_log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Added to the time of an orderly stop; whatever still runs after that hangs.
_HANG_SECONDS = 15.0

Part = Coroutine[Any, Any, None]


class PartEndedError(Exception):
    """A part ended although it should live as long as the process."""


class Process:
    """Stops the process on a signal or when a part fails. Thread-safe."""

    def __init__(self) -> None:
        self.failed = False
        self._stop: Callable[[], object] = lambda: os.kill(os.getpid(), signal.SIGTERM)
        self._seconds_max = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def stops_by(self, stop: Callable[[], object], seconds_max: float) -> None:
        """Make signals and failures call `stop`, which ends the process within `seconds_max`."""
        for number in _SIGNALS:
            signal.signal(number, lambda *_: stop())
        self._stop, self._seconds_max = stop, seconds_max
        _log_start()

    async def keep(
        self, serving: Part, stop: Callable[[], object], parts: Mapping[str, Part], seconds_max: float
    ) -> None:
        """Run `parts` beside `serving` until it ends; signals and failures call `stop`."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
        self._stop, self._seconds_max = lambda: loop.call_soon_threadsafe(stop), seconds_max
        _log_start()
        for name, part in parts.items():
            self._start(name, _for_ever(part))
        try:
            await serving
        finally:
            self._stop = lambda: None
            tasks = [*self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def start(self, name: str, work: Part) -> "asyncio.Task[None]":
        """Run a task that ends by itself; its failure fails the process. Call on the event loop."""
        return self._start(name, work)

    def fail(self, part: str, error: BaseException) -> None:
        """Log the failure of a part, and stop."""
        _log.error("part_failed", exc_info=error, extra={"part": part})
        self.failed = True
        watch = threading.Timer(self._seconds_max + _HANG_SECONDS, self._give_up)
        watch.daemon = True
        watch.start()
        self._stop()

    def _start(self, name: str, work: Part) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._watched(name, work), name=name)  # noqa: TID251
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watched(self, name: str, work: Part) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - logged by `fail`, which ends the process
            self.fail(name, error)

    def _give_up(self) -> NoReturn:
        _log.error("stop_hangs", extra={"seconds": self._seconds_max + _HANG_SECONDS})
        _exit(1)


def run(name: str, serve: Callable[[Process], object]) -> int:
    """Run `serve` and return the exit status; `name` appears in the start error."""
    log_as_json()
    process = Process()
    threading.excepthook = lambda died: _thread_died(process, died)

    def work() -> int:
        serve(process)
        return 1 if process.failed else 0

    try:
        return command.run(f"{name} cannot start", work)
    except Exception:  # noqa: BLE001 - the only one in each process
        _log.exception("process_failed")
        return 1


def main(name: str, serve: Callable[[Process], object]) -> NoReturn:
    """Exit with the status of `run`, even if other threads are still blocked."""
    _exit(run(name, serve))


def _exit(status: int) -> NoReturn:
    with suppress(OSError):  # the reader of our output is gone
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _log_start() -> None:
    _log.info("process_started", extra={"version": VERSION})


def _thread_died(process: Process, died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None and not issubclass(died.exc_type, SystemExit):
        process.fail(died.thread.name if died.thread else "thread", died.exc_value)


async def _for_ever(part: Part) -> None:
    await part
    raise PartEndedError
