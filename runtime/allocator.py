"""The C library's allocator, kept from holding freed memory. Without glibc, nothing happens.

Source: mallopt(3), malloc_trim(3).
"""

import contextlib
import ctypes

_M_ARENA_MAX = -8  # of glibc's malloc.h


def bound_arenas() -> None:
    """Let all threads share two arenas, because each keeps freed memory. For the start of a process."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def return_freed_memory() -> None:
    """Return freed memory to the system, including the holes between objects; some milliseconds."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
