"""Records read and records done -> the offsets that may be committed. Pure.

Invariant: an offset may be committed only if all earlier records read since the assignment of the partition
are done. Records of a revoked partition no longer count, even if the partition is assigned again.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.kit.record import Place


@dataclass(slots=True)
class _Partition:
    """A partition while it is assigned to us."""

    next: int = 0  # one after the last record read
    open: dict[int, None] = field(default_factory=dict)  # offsets read but not done, ascending
    reported: int = -1
    is_ours: bool = True


class Hold:
    """A record that is not done: neither it nor later records of its partition are committed."""

    def __init__(self, partition: _Partition, offset: int, lock: threading.Lock) -> None:
        self._partition, self._offset, self._lock = partition, offset, lock

    @property
    def is_ours(self) -> bool:
        """Whether its partition is still ours; if not, its new owner reads the record again."""
        return self._partition.is_ours

    def release(self) -> None:
        """Mark the record as done; repeated calls do nothing."""
        with self._lock:
            self._partition.open.pop(self._offset, None)


class OffsetTracker:
    """Tracks the progress of each partition. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[Place, _Partition] = {}

    def read(self, place: Place, offset: int) -> Hold:
        """Track a record that is being processed."""
        with self._lock:
            partition = self._partitions.setdefault(place, _Partition())
            partition.next = offset + 1
            partition.open[offset] = None
        return Hold(partition, offset, self._lock)

    def passed(self, place: Place, offset: int) -> None:
        """Track a record that needs no processing or is done."""
        with self._lock:
            self._partitions.setdefault(place, _Partition()).next = offset + 1

    def due(self) -> dict[Place, int]:
        """Return the offsets that may be committed and were not returned before."""
        found = {}
        with self._lock:
            for place, partition in self._partitions.items():
                offset = next(iter(partition.open), partition.next)
                if offset > partition.reported:
                    found[place] = partition.reported = offset
        return found

    def forget(self, places: Iterable[Place]) -> None:
        """Drop revoked partitions."""
        with self._lock:
            for place in places:
                if gone := self._partitions.pop(place, None):
                    gone.is_ours = False
