"""The lines at which a test kills our code: some of them, or `TAPLINE_KILLS=all` of them.

The lines are drawn anew in each run: pytest's seed, which CI prints, gives the same ones again.
"""

import os
import random


def some(lines: int, count: int) -> list[int]:
    """Return `count` numbers below `lines`, in order and evenly spread: one of each of as many stretches."""
    if os.environ.get("TAPLINE_KILLS") == "all" or count >= lines:
        return [*range(lines)]
    return [random.randrange(lines * n // count, lines * (n + 1) // count) for n in range(count)]
