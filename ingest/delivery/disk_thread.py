"""A thread for calls that a disk may hold up, one at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple, Unpack

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class DiskThread:
    """Started by its first call."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    async def run(self, call: Callable[[Unpack[_Ts]], _T], *arguments: *_Ts) -> _T:
        """Return what `call` returns, after all calls before it; cancelled, a call that began goes on."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def close(self) -> None:
        """Return when its last call has ended."""
        self._thread.shutdown()
