"""What ingest delivered, and where the topic ends -> the moment until which all that was received is read.

This is the one meaning of "all that was received until T is known": of every event that was answered 200 and
whose received_at is before T, the record is before our position. It is known from looks. A look asks every
ingest process until when it has delivered (its spool and what is on its way hold that back), and then, in
this order, Kafka where the topic ends. Once we have read as far as that, T is what ingest said. So lag holds
T back, and a spool; and while an ingest process or Kafka does not answer, there is no new look. The order of
the topic does not matter: what was spooled lies behind younger records. Pure.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from consumers.kit.record import Place

_LOOKS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class DeliverySnapshot:
    """One answer of all ingest processes, and the ends of all partitions as they were later."""

    until_ms: int
    ends: Mapping[Place, int]


class ReceivedUntil:
    """The moment, for the partitions that are ours."""

    def __init__(self) -> None:
        self._looks: deque[DeliverySnapshot] = deque()  # not reached yet, the oldest first
        self._newest: DeliverySnapshot | None = None
        self._stride, self._skipped = 1, 0
        self._positions: Mapping[Place, int] = {}
        self._until_ms = 0

    def take(self, look: DeliverySnapshot) -> None:
        """Take a new look."""
        self._newest = look
        self._skipped += 1
        if self._skipped >= self._stride:
            self._skipped = 0
            self._looks.append(look)
        if len(self._looks) > _LOOKS_MAX:  # far behind: with fewer the moment takes longer steps
            self._looks = deque([*self._looks][::2])
            self._stride *= 2

    def of(self, positions: Mapping[Place, int]) -> int:
        """Return the moment (ms since 1970) by the next offsets of our partitions; 0: none is known.

        It begins again when partitions come to us: what we have read says nothing of what lies before.
        """
        before, self._positions = self._positions, positions
        if any(offset < before.get(place, offset + 1) for place, offset in positions.items()):
            self._until_ms = 0
        if not positions:
            return 0
        while self._looks and self._settles(self._looks[0]):
            self._looks.popleft()
        if not self._looks:
            self._stride = 1
            if self._newest:
                self._settles(self._newest)
        return self._until_ms

    def _settles(self, look: DeliverySnapshot) -> bool:
        """Return whether a look needs no more waiting: we have read as far, or the topic has grown since."""
        if not self._positions.keys() <= look.ends.keys():
            return True
        if any(offset < look.ends[place] for place, offset in self._positions.items()):
            return False
        # What was said stays true, though a spool may hold back what is said now.
        self._until_ms = max(self._until_ms, look.until_ms)
        return True
