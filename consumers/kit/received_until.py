"""ingest's delivery and the topic's ends -> the moment until which all received events are read. Pure.

Definition: all events received until T are read if, for every event that was answered 200 and has received_at
before T, its record is before our position. To find T, a snapshot first asks every ingest process up to which
moment it has delivered (its spool and records in flight hold that back), and then Kafka for the topic's ends.
Once our position has reached those ends, T is the moment that ingest reported. So lag and spools hold T back,
and without an answer from every ingest process and Kafka there is no new snapshot. The order within the topic
does not matter, although spooled records lie behind younger ones.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from consumers.kit.record import Place

_SNAPSHOTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class DeliverySnapshot:
    """The delivery of all ingest processes, and the partitions' ends taken after it."""

    until_ms: int
    ends: Mapping[Place, int]


class ReceivedUntil:
    """That moment, for our partitions."""

    def __init__(self) -> None:
        self._snapshots: deque[DeliverySnapshot] = deque()  # not reached yet, oldest first
        self._newest: DeliverySnapshot | None = None
        self._stride, self._skipped = 1, 0
        self._positions: Mapping[Place, int] = {}
        self._until_ms = 0

    def take(self, snapshot: DeliverySnapshot) -> None:
        """Add a new snapshot."""
        self._newest = snapshot
        self._skipped += 1
        if self._skipped >= self._stride:
            self._skipped = 0
            self._snapshots.append(snapshot)
        if len(self._snapshots) > _SNAPSHOTS_MAX:  # far behind: fewer snapshots mean longer steps
            self._snapshots = deque([*self._snapshots][::2])
            self._stride *= 2

    def of(self, positions: Mapping[Place, int]) -> int:
        """Return the moment (ms since 1970) for our next offsets; 0 if unknown.

        It starts again when partitions are assigned, because earlier reads say nothing about their records.
        """
        before, self._positions = self._positions, positions
        if any(offset < before.get(place, offset + 1) for place, offset in positions.items()):
            self._until_ms = 0
        if not positions:
            return 0
        while self._snapshots and self._settles(self._snapshots[0]):
            self._snapshots.popleft()
        if not self._snapshots:
            self._stride = 1
            if self._newest:
                self._settles(self._newest)
        return self._until_ms

    def _settles(self, snapshot: DeliverySnapshot) -> bool:
        """Return whether a snapshot is settled: reached, or outdated by new partitions."""
        if not self._positions.keys() <= snapshot.ends.keys():
            return True
        if any(offset < snapshot.ends[place] for place, offset in self._positions.items()):
            return False
        # An earlier report stays true, even if a spool holds back the current one.
        self._until_ms = max(self._until_ms, snapshot.until_ms)
        return True
