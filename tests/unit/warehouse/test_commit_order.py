"""The whole loop with a log and a table in memory: no offset passes a record that has no place.

A death is an exception at a line: finished work stays, and the next loader starts at the group's offsets.
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import fastavro
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.decode import Refusal
from consumers.kit.errors import TransientError
from consumers.kit.record import Place, Record
from consumers.warehouse.errors import PermanentError
from consumers.warehouse.load.batch import BatchLimits
from consumers.warehouse.load.container import Format
from runtime.kafka import topics
from tests.support.loop import Revoked, StandInConsumer, StandInStore, run_loader
from tests.support.warehouse import Message, body, message

_RECORD: Message = message(body())


class _DeathError(BaseException):
    """The process dies here."""


class _World(StandInStore):
    """State that outlives a loader: log, offsets, table, quarantine; and planned failures."""

    def __init__(self, lengths: Sequence[int], poison: set[tuple[int, int]], fates: Sequence[str]) -> None:
        self.log = {partition: length for partition, length in enumerate(lengths) if length}
        self.committed = dict.fromkeys(self.log, 0)
        self.poison = poison
        self.table: set[tuple[int, int]] = set()
        self.kept: set[tuple[int, int]] = set()
        self.skipped: list[str] = []
        self._fates = list(fates)

    def insert(self, _: Format, data: bytes) -> None:
        """Do what `Warehouse` says; a poisoned row is refused."""
        read = cast("Iterator[dict[str, int]]", fastavro.reader(io.BytesIO(data)))
        rows = {(row["_partition"], row["_offset"]) for row in read}
        if rows & self.poison:
            raise PermanentError("poison")
        self._fated(lambda: self.table.update(rows))

    def write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Do what `RefusalStore` says."""
        places = {(int(p), int(o)) for p, o in (refusal.record.split("/")[1:] for refusal in refusals)}
        self._fated(lambda: self.kept.update(places))
        return []

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Do what `GroupConsumer.commit` says, and record skipped offsets."""
        for (_, partition), end in offsets.items():
            without = {(partition, offset) for offset in range(end)} - self.table - self.kept
            if without:
                self.skipped.append(f"{partition} to {end} without {sorted(without)}")
        with contextlib.suppress(TransientError):  # the real one is silent too, and retries
            self._fated(lambda: self.committed.update({place[1]: end for place, end in offsets.items()}))

    def _fated(self, act: Callable[[], None]) -> None:
        fate = self._fates.pop() if self._fates else "does"
        if fate == "dies before":
            raise _DeathError
        if fate == "fails":
            raise TransientError("not now")
        act()
        if fate == "dies after":
            raise _DeathError
        if fate == "answers late":
            raise TransientError("no answer")


class _Source(StandInConsumer):
    """A `GroupConsumer` for the loop: records from the group's offsets, changing partitions."""

    def __init__(self, world: _World, revoked: Revoked, turns: set[int]) -> None:
        super().__init__()
        self._world = world
        self._revoked = revoked
        self._turns = turns  # revokes a partition
        self._turn = 0
        self._next = dict(world.committed)

    def poll(self, _seconds_max: float, records_max: int, _bytes_max: int) -> list[Record]:
        """Return some records, one partition at a time."""
        self._turn += 1
        partition = self._turn % len(self._next)
        if self._turn in self._turns:
            self._revoked([(topics.EVENTS, partition)])
            self._next[partition] = self._world.committed[partition]
        if self._next == self._world.log:
            self.stop()
        first = self._next[partition]
        self._next[partition] = end = min(first + max(1, min(records_max, 3)), self._world.log[partition])
        records = [replace(_RECORD, partition_=partition, offset_=offset) for offset in range(first, end)]
        return cast("list[Record]", records)

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Commit at once."""
        self._world.commit(offsets)


_FATES = st.sampled_from(["does", "does", "fails", "answers late", "dies before", "dies after"])
_PLACES = st.sets(st.tuples(st.integers(0, 2), st.integers(0, 8)), max_size=4)


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    poison=_PLACES,
    fates=st.lists(_FATES, max_size=12),
    turns=st.sets(st.integers(1, 8), max_size=3),
)
def test_no_offset_moves_past_a_record_without_a_place(
    lengths: list[int], poison: set[tuple[int, int]], fates: list[str], turns: set[int]
) -> None:
    """Inserts fail or are slow, processes die, partitions move: every record is in table or quarantine."""
    world = _World(lengths, poison, fates)
    every = {(partition, offset) for partition, end in world.log.items() for offset in range(end)}
    while not _runs_to_its_end(world, turns):
        pass

    assert world.skipped == []
    assert world.committed == world.log
    assert world.table == every - poison
    assert world.kept == every & poison


def _runs_to_its_end(world: _World, turns: set[int]) -> bool:
    try:
        run_loader(
            lambda revoked: _Source(world, revoked, turns), world, BatchLimits(4, 1 << 30, 0.0), share=1.0
        )
    except _DeathError:
        return False
    return world.committed == world.log
