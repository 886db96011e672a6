"""The lines at which a test kills our code: some of them, or with `TAPLINE_KILLS=all` all of them.

They differ from run to run. pytest's seed, which CI prints, gives the same ones again.
"""

import os
import random
import sys
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any


class DeathError(BaseException):
    """The process dies here; nothing that the code does on errors may happen."""


def stride(mean: int) -> int:
    """Return how many lines behind a kill the next one is: `mean` on average, at most twice as many."""
    return 1 if os.environ.get("TAPLINE_KILLS") == "all" else random.randrange(1, 2 * mean)


def killed(work: Callable[[], object], deadly: Collection[tuple[str, str]], line: int) -> bool:
    """Do `work`, and die before the line of that number in the `deadly` functions (module, name).

    Return whether the line was reached.
    """
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) not in deadly:
            return None
        if event == "line":
            lines.add((frame.f_code.co_name, frame.f_lineno))
        if len(lines) > line:
            raise DeathError
        return trace

    try:
        sys.settrace(trace)
        work()
    except DeathError:
        return True
    finally:
        sys.settrace(None)
    return False
