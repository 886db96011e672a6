"""Python's startup -> a process of the stack in which the harness can inject failures.

Only on PYTHONPATH of the stack under test. Patched before anything else is imported:
- `time.time` and `time.time_ns` are ahead or behind, in logs too. Monotonic clocks are unchanged, as with a
  real clock step.
- `os.fsync` and `os.fdatasync` of ingest take longer.
- If its process id is named, one background task or thread of the process gets an unexpected exception.
Layout of the shared memory: `tests.faults.harness.world.Inside`.
"""

import asyncio
import concurrent.futures.thread
import contextlib
import ctypes
import mmap
import os
import random
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

_MEMORY = struct.Struct("dd3q")  # clock seconds, fsync seconds; process ids to crash: ingest, warehouse, live
_MODULES = ("ingest", "consumers.warehouse", "consumers.live")
_CLOCK, _FSYNC, _CRASHES = 0, 1, 2
_STEPPED = ("ingest", "consumers.warehouse")
_WATCH_SECONDS = 0.05
# Requests come and go; only older tasks are worth killing.
_OURS = ("/ingest/", "/consumers/", "/schemas/")
_THREADS = ("kafka-poll", "flush", "spool")


class InjectedFaultError(Exception):
    """An exception that no code expects."""


def _begin(path: Path, module: str) -> None:
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), _MEMORY.size, prot=mmap.PROT_READ)

    def read(index: int) -> float:
        return float(_MEMORY.unpack_from(memory)[index])

    if module in _STEPPED:
        true_time, true_time_ns = time.time, time.time_ns
        time.time = lambda: true_time() + read(_CLOCK)
        time.time_ns = lambda: true_time_ns() + int(read(_CLOCK) * 1e9)
    if module == "ingest":
        os.fsync = _slowed(os.fsync, read)  # type: ignore[assignment]
        os.fdatasync = _slowed(os.fdatasync, read)  # type: ignore[assignment]
    index = _CRASHES + _MODULES.index(module)
    threading.Thread(target=_watch, args=(read, index), name="faults", daemon=True).start()


def _slowed(sync: Callable[[int], None], read: Callable[[int], float]) -> Callable[[int], None]:
    def slow(descriptor: int) -> None:
        sync(descriptor)
        time.sleep(read(_FSYNC))

    return slow


def _watch(read: Callable[[int], float], index: int) -> None:
    while True:
        time.sleep(_WATCH_SECONDS)
        if read(index) == os.getpid() and _crash():
            return


def _crash() -> bool:
    """Return whether a task or thread got its exception."""
    victims: list[Any] = [*filter(_is_victim, _tasks())]
    frames = sys._current_frames()
    victims += [thread for thread in threading.enumerate() if _is_at_work(thread, frames)]
    if not victims:
        return False
    victim = random.choice(victims)
    if isinstance(victim, threading.Thread):
        error = ctypes.py_object(InjectedFaultError)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(victim.ident or 0), error)
        name = victim.name
    else:
        victim.get_loop().call_soon_threadsafe(_fail, victim)
        name = victim.get_coro().__qualname__
    sys.stderr.write(f"faults: exception into {name}\n")
    return True


def _tasks() -> list[asyncio.Task[Any]]:
    known: Any = getattr(asyncio.tasks, "_all_tasks", None) or getattr(asyncio.tasks, "_scheduled_tasks", ())
    for _ in range(10):  # another thread may change the set meanwhile
        with contextlib.suppress(RuntimeError):
            return list(known)
    return []


def _is_victim(task: asyncio.Task[Any]) -> bool:
    """Return whether a task is one of ours that waits for something other than its own tasks."""
    code = getattr(task.get_coro(), "cr_code", None)
    is_ours = code is not None and any(part in code.co_filename for part in _OURS)
    return is_ours and not task.done() and _awaited(task) is not None


def _is_at_work(thread: threading.Thread, frames: Mapping[int, FrameType]) -> bool:
    """Return whether a thread is one of ours that is working.

    No code of ours can raise in an executor's idle thread: the call that wakes it would be lost.
    """
    frame = frames.get(thread.ident or 0)
    is_idle = frame is None or frame.f_code.co_filename == concurrent.futures.thread.__file__
    return thread.name.startswith(_THREADS) and not is_idle


def _awaited(task: asyncio.Task[Any]) -> "asyncio.Future[Any] | None":
    waiter = getattr(task, "_fut_waiter", None)
    return None if waiter is None or isinstance(waiter, asyncio.Task) else waiter


def _fail(task: asyncio.Task[Any]) -> None:
    waiter = _awaited(task)
    if waiter is not None and not waiter.done():
        waiter.set_exception(InjectedFaultError("a task gets an exception that nobody expects"))


_started = sys.orig_argv[1:3]
if "TAPLINE_FAULTS_INSIDE" in os.environ and _started[:1] == ["-m"] and _started[1] in _MODULES:
    _begin(Path(os.environ["TAPLINE_FAULTS_INSIDE"]), _started[1])
