"""Ids that no schema has -> how long to wait for their schemas.

Invariants: an id is waited for once. After a wait in vain, no id is waited for during a rest: a producer that
invents ids delays everything behind its records by a twentieth of the time, not by a wait for each id.
Source: docs/decisions/0013-schema-reload.md.
"""

import time
from collections.abc import Callable, Hashable
from collections.abc import Set as AbstractSet

_RESTS = 20.0  # a rest, in waits
_AWAITED_MAX = 1000


class SchemaPatience:
    """Remembers which ids were waited for in vain."""

    def __init__(self, seconds_max: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_max = seconds_max
        self._clock = clock
        self._awaited: frozenset[Hashable] = frozenset()
        self._rests_until = 0.0

    def seconds_for(self, ids: AbstractSet[Hashable]) -> float:
        """Return how long to wait for these ids; 0: not at all."""
        return 0.0 if ids <= self._awaited or self._clock() < self._rests_until else self._seconds_max

    def waited_in_vain(self, ids: AbstractSet[Hashable]) -> None:
        """Note that the time for these ids is over."""
        self._awaited = frozenset(ids) if len(self._awaited) > _AWAITED_MAX else self._awaited | ids
        self._rests_until = self._clock() + _RESTS * self._seconds_max
