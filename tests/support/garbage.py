"""Reference cycles, which hold memory until the garbage collector runs."""

import gc
from collections.abc import Callable

_CALLS = 10


def cyclic_garbage(call: Callable[[], object]) -> int:
    """Return how many objects each `call` leaves that only the collector can free.

    A few objects more, as other threads and caches leave them, do not count.
    """
    return min(_cyclic_garbage(call) for _ in range(3)) // _CALLS


def _cyclic_garbage(call: Callable[[], object]) -> int:
    gc.collect()
    gc.freeze()  # the collection below looks at new objects only
    gc.disable()
    try:
        for _ in range(_CALLS):
            call()
        return gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
