"""A thread that runs blocking disk calls one at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple, Unpack

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class DiskThread:
    """Runs calls in order; its thread starts with the first call."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    async def run(self, call: Callable[[Unpack[_Ts]], _T], *arguments: *_Ts) -> _T:
        """Return the result of `call`, which runs after all earlier calls; cancelling does not stop it."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def close(self) -> None:
        """Wait for the last call and stop the thread."""
        self._thread.shutdown()
