"""The limit of open files of this process, which its children inherit -> as high as they may need it."""

import os
import resource

# ClickHouse opens every file of a part that it writes, and of several parts when it merges them: with the
# tables of all event types that was seen to take 3,000.
NEEDED = 8_192
_WANTED = 65_536


def raise_limit() -> int:
    """Return how many files each process may open, after raising that as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _WANTED if hard == resource.RLIM_INFINITY else min(_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        return limit
    return soft if soft != resource.RLIM_INFINITY else _WANTED


def open_now() -> float:
    """Return how many files this process has open; NaN where the system does not tell."""
    try:
        return float(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - no object for each
    except OSError:
        return float("nan")
