"""The lines at which a test kills our code: some of them, or with `TAPLINE_KILLS=all` all of them.

They differ from run to run. pytest's seed, which CI prints, gives the same ones again.
"""

import os
import random


def stride(mean: int) -> int:
    """Return how many lines behind a kill the next one is: `mean` on average, at most twice as many."""
    return 1 if os.environ.get("TAPLINE_KILLS") == "all" else random.randrange(1, 2 * mean)
