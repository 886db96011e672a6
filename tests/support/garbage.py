"""Reference cycles, which hold memory until the garbage collector runs."""

import gc
from collections.abc import Callable


def cyclic_garbage(call: Callable[[], object]) -> int:
    """Return how many objects only the collector can free after `call`; other threads may add some once."""
    return min(_cyclic_garbage(call) for _ in range(3))


def _cyclic_garbage(call: Callable[[], object]) -> int:
    gc.collect()
    gc.disable()
    try:
        call()
        return gc.collect()
    finally:
        gc.enable()
