"""Records read and records done -> the offsets that may be committed. Pure.

Invariant: an offset is committed only when every record before it, that was read since the partition came, is
done. What was read of a partition that went is nobody's: it counts no more, also when the partition is back.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.kit.record import Place


@dataclass(slots=True)
class _Partition:
    """A partition for as long as it is ours."""

    next: int = 0  # one beyond the last record read
    open: dict[int, None] = field(default_factory=dict)  # offsets read and not done, ascending
    told: int = -1
    is_ours: bool = True


class Hold:
    """One record that is not done: neither it nor what follows it in its partition is committed."""

    def __init__(self, partition: _Partition, offset: int, lock: threading.Lock) -> None:
        self._partition, self._offset, self._lock = partition, offset, lock

    @property
    def is_ours(self) -> bool:
        """Whether its partition is still with us; if not, whoever has it now reads the record again."""
        return self._partition.is_ours

    def release(self) -> None:
        """Say that the record is done. Once more does nothing."""
        with self._lock:
            self._partition.open.pop(self._offset, None)


class OffsetTracker:
    """How far each partition is. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[Place, _Partition] = {}

    def read(self, place: Place, offset: int) -> Hold:
        """Note a record that is to be worked on."""
        with self._lock:
            partition = self._partitions.setdefault(place, _Partition())
            partition.next = offset + 1
            partition.open[offset] = None
        return Hold(partition, offset, self._lock)

    def passed(self, place: Place, offset: int) -> None:
        """Note a record that needs no work, or has had it."""
        with self._lock:
            self._partitions.setdefault(place, _Partition()).next = offset + 1

    def due(self) -> dict[Place, int]:
        """Return the offsets that may be committed and were not returned before."""
        found = {}
        with self._lock:
            for place, partition in self._partitions.items():
                offset = next(iter(partition.open), partition.next)
                if offset > partition.told:
                    found[place] = partition.told = offset
        return found

    def forget(self, places: Iterable[Place]) -> None:
        """Note that partitions went."""
        with self._lock:
            for place in places:
                if gone := self._partitions.pop(place, None):
                    gone.is_ours = False
