"""Reference cycles, which hold memory until the garbage collector runs."""

import gc
from collections.abc import Callable


def cyclic_garbage(call: Callable[[], object]) -> int:
    """Return how many objects only the collector can free after `call`."""
    gc.collect()
    gc.disable()
    try:
        call()
        return gc.collect()
    finally:
        gc.enable()
