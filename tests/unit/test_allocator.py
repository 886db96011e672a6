"""Freed memory goes back to the system."""

import subprocess
import sys

import pytest

from tests.support.stack import ROOT

# Holes of the size of records between objects that stay: the allocator returns only its end by itself.
_PROGRAM = """
import psutil
from runtime import allocator

def resident():
    return psutil.Process().memory_info().rss

allocator.bound_arenas()
objects = [bytes(3000) for _ in range(40_000)]
full = resident()
kept = objects[::50]
del objects
freed = resident()
allocator.return_freed_memory()
print(full, freed, resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_holes_between_objects_are_returned() -> None:
    """Most of 120 MB."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )
    full, freed, returned = map(int, done.stdout.split())

    assert full - freed < 20_000_000, "the premise: the allocator kept the holes"
    assert freed - returned > 80_000_000
