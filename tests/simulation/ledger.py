"""Acknowledged records, with their moments -> whether Kafka and the disk have them, in order.

Invariants: an acknowledged record is in Kafka or synced to the disk. A record that was acknowledged before
another was accepted precedes it in its key. Kafka may have a record twice: one of its places must be right.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

from ingest.delivery.record import OutgoingRecord
from runtime.kafka import topics
from tests.simulation.fake_disk import Platters
from tests.simulation.fake_kafka import ID, Kafka

POISON = b"poison"  # ends the value of a record that Kafka always rejects
_VALUE = re.compile(ID.pattern + rb"(?:" + POISON + rb")?")


class ViolationError(AssertionError):
    """An invariant does not hold."""


def require(holds: object, otherwise: str) -> None:
    """Check a condition. Raises: ViolationError."""
    if not holds:
        raise ViolationError(otherwise)


@dataclass(slots=True)
class _Acknowledged:
    record: OutgoingRecord
    accepted: int  # moments, in the order of the run
    answered: int


class Ledger:
    """The obligations of one run."""

    def __init__(self, kafka: Kafka, platters: Platters) -> None:
        self.acknowledged: dict[bytes, _Acknowledged] = {}
        self._kafka = kafka
        self._platters = platters
        self._moments = 0

    def moment(self) -> int:
        """Return a number greater than all before."""
        self._moments += 1
        return self._moments

    def acknowledge(self, record: OutgoingRecord, accepted: int, kept: str) -> None:
        """Note that a record was answered, and check that it is where the answer says."""
        name = ID.findall(record.value)[0]
        is_safe = name in self._kafka.ids or (kept == "spool" and self._platters.survives(name))
        where = "in Kafka" if kept == "kafka" else "synced"
        require(is_safe, f"{name!r} was acknowledged and is not {where}")
        self.acknowledged[record.value] = _Acknowledged(record, accepted, self.moment())

    def removed(self, data: bytes) -> None:
        """Check that no record was lost with a removed file that held `data`."""
        for value in self.acknowledged.keys() & {*_VALUE.findall(data)}:
            require(self._is_kept(value), f"{value!r} was acknowledged, and its file is removed")

    def check_all(self, *, at_the_end: bool) -> None:
        """Check that nothing is lost; at the end, all must be in Kafka except the records that it rejects."""
        for value in self.acknowledged:
            is_enough = not at_the_end or POISON in value
            name = ID.findall(value)[0]
            is_kept = self._is_kept(value) if is_enough else name in self._kafka.ids
            require(is_kept, f"{value!r} was acknowledged and is lost")

    def check_order(self) -> None:
        """For each record, find its first place behind all that was answered before it was accepted."""
        places: dict[bytes, list[int]] = defaultdict(list)
        for place, record in enumerate(self._kafka.log):
            if record.topic == topics.EVENTS:
                places[record.value].append(place)
        by_key: dict[bytes, list[_Acknowledged]] = defaultdict(list)
        for one in self.acknowledged.values():
            if POISON not in one.record.value:
                by_key[one.record.key].append(one)
        for ones in by_key.values():
            _check_order_of(ones, places)

    def _is_kept(self, value: bytes) -> bool:
        name = ID.findall(value)[0]
        return name in self._kafka.ids or self._platters.has(name)


def _check_order_of(ones: list[_Acknowledged], places: dict[bytes, list[int]]) -> None:
    answered = sorted(ones, key=lambda one: one.answered)
    found: dict[bytes, int] = {}
    behind, index = -1, 0
    for one in sorted(ones, key=lambda one: one.accepted):
        while index < len(answered) and answered[index].answered < one.accepted:
            behind = max(behind, found[answered[index].record.value])
            index += 1
        mine = places[one.record.value]
        place = bisect_right(mine, behind)
        require(place < len(mine), f"{one.record.value!r} precedes what was acknowledged before it")
        found[one.record.value] = mine[place]
