"""An asyncio event loop without a clock: when nothing is left to do, time jumps to the next timer.

Invariants: callbacks run one by one, in the order of asyncio's own loop; the same calls give the same run.

The work of threads happens on the loop, after a delay, one job of an executor after the other.
"""

import asyncio
import heapq
import itertools
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Self, TypeVar

_T = TypeVar("_T")


class CrashError(BaseException):
    """The process ends here, in the middle of its work."""


class StuckError(AssertionError):
    """Nothing is left to do, and no timer runs."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """The loop of one simulated process, and of the world around it."""

    def __init__(self, now: float, job_seconds: Callable[[], float]) -> None:
        self.steps = 0
        self.faults: list[str] = []  # errors that asyncio would have logged
        self._job_seconds = job_seconds  # how long the next job of a thread takes
        self._now = now
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._busy: dict[int, float] = {}  # executor -> when its last job ends
        self._is_dead = False

    def run_step(self) -> None:
        """Run one callback, after the time until it is due. Raises: CrashError, StuckError."""
        self.steps += 1
        while not self._ready:
            if not self._timers:
                raise StuckError("nothing is left to do")
            when, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                self._now = max(self._now, when)
                self._ready.append(timer)
        handle = self._ready.popleft()
        if not handle.cancelled():
            handle._run()

    def __enter__(self) -> Self:
        events._set_running_loop(self)
        return self

    def __exit__(self, *_: object) -> None:
        events._set_running_loop(None)
        self._is_dead = True

    def time(self) -> float:
        """Return the seconds of the virtual clock."""
        return self._now

    def get_debug(self) -> bool:
        """Return False."""
        return False

    def is_running(self) -> bool:
        """Return True: it runs as long as it is used."""
        return True

    def is_closed(self) -> bool:
        """Return whether its process has ended."""
        return self._is_dead

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, _T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[_T]:
        """Return a task that begins with the next step or later."""
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call after all calls requested before."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call as `call_soon` does: there are no threads."""
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call after `delay` seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call at a time of the virtual clock."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """Return a future of the result of `func`, which the executor runs in its turn."""
        future: asyncio.Future[_T] = self.create_future()
        begins = max(self._now, self._busy.get(id(executor), 0.0))
        ends = self._busy[id(executor)] = begins + self._job_seconds()
        self.call_at(begins, self._begin, ends, future, func, args)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Note what asyncio would log; let a crash through."""
        error = context.get("exception")
        if isinstance(error, CrashError):
            raise error
        if not self._is_dead:
            self.faults.append(f"{context.get('message')}: {error!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def _begin(self, ends: float, future: asyncio.Future[_T], func: Callable[..., _T], args: Any) -> None:
        if not future.cancelled():  # like a thread: a cancelled job is not begun; one that has begun goes on
            self.call_at(ends, self._end, future, func, args)

    def _end(self, future: asyncio.Future[_T], func: Callable[..., _T], args: Any) -> None:
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - it is the future's
            if not future.done():
                future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)
