"""Runs one of our processes with an injected failure: `python -m tests.support.injection FILE MODULE`.

It runs `python -m MODULE`. Once FILE exists, the part that it names gets an unexpected exception: a task by
name, a thread by name, or a function as `module:Class.function`, which then raises on every call.
`FILE.parts` lists the names of the started tasks.
"""

import asyncio
import ctypes
import functools
import importlib
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any

from runtime.process import Process

_ENDS_SECONDS = 2.0  # a thread of ours runs Python code more often
_TASKS: dict[str, asyncio.Task[None]] = {}


class InjectedError(Exception):
    """An exception that no code expects."""


def main(file: Path, module: str) -> None:
    """Run the module, with a failure to be injected later."""
    start = Process._start

    def recording(self: Process, name: str, work: Any) -> asyncio.Task[None]:
        _TASKS[name] = start(self, name, work)
        file.with_suffix(".parts").write_text("\n".join(_TASKS))
        return _TASKS[name]

    Process._start = recording  # type: ignore[method-assign]
    threading.Thread(target=_wait, args=(file,), name="injection", daemon=True).start()
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _wait(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)
    part = file.read_text()
    file.unlink()  # the restarted process is unharmed
    while not _inject(part):
        time.sleep(0.01)


def _inject(part: str) -> bool:
    """Inject the exception; return whether the part was found."""
    if ":" in part:
        _break(part)
    elif part in _TASKS:
        _TASKS[part].get_loop().call_soon_threadsafe(_fail, _TASKS[part])
    else:
        return any(map(_end, [one for one in threading.enumerate() if one.name == part]))
    return True


def _end(thread: threading.Thread) -> bool:
    """Inject the exception into a thread; return whether it ended: logging, for one, swallows exceptions."""
    number = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(InjectedError))
    thread.join(_ENDS_SECONDS)
    return not thread.is_alive()


def _break(part: str) -> None:
    module, _, path = part.partition(":")
    *outer, name = path.split(".")
    owner = functools.reduce(getattr, outer, importlib.import_module(module))

    def broken(*_: Any, **__: Any) -> None:
        raise InjectedError(part)

    setattr(owner, name, broken)


def _fail(task: asyncio.Task[None]) -> None:
    waiter: Any = getattr(task, "_fut_waiter", None)  # the coroutine that it awaits
    if waiter is None or waiter.done():
        task.get_loop().call_later(0.005, _fail, task)
    else:
        waiter.set_exception(InjectedError(task.get_name()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
