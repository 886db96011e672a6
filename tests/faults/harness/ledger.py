"""Answers -> a file that outlives its writer, and back.

Invariants: an answer counts only after the next fsync. One line per finished post: number, last status (0:
none came), requests, milliseconds of the last request, begin and end of the post. Numbers repeat if a post
was sent twice.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

KEPT = frozenset({200, 400, 422})  # statuses of posts that are in a table or in the quarantine


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One finished post."""

    number: int
    status: int  # HTTP status of the last answer; 0: the sender gave up
    requests: int
    milliseconds: int  # of the last request
    began_us: int  # when its first request began: microseconds of the sender's monotonic clock
    ended_us: int  # when its last answer came


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Ledger:
    """The file, for its writer."""

    def __init__(self, path: Path) -> None:
        self.counted = 0  # entries on disk
        self.acknowledged = 0  # of these, kept ones, without second sendings
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._waiting: list[tuple[Entry, bool]] = []

    def add(self, entry: Entry, *, again: bool = False) -> None:
        """Add an entry, `again` for a second sending; `write` makes it count."""
        self._waiting.append((entry, again))

    def write(self) -> None:
        """Write pending entries to disk. One thread at a time."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            os.write(self._descriptor, b"".join(_encode(entry) + b"\n" for entry, _ in waiting))
            os.fdatasync(self._descriptor)
            self.counted += len(waiting)
            self.acknowledged += sum(entry.status in KEPT and not again for entry, again in waiting)


def entries(path: Path) -> Iterator[Entry]:
    """Yield every entry of a file."""
    with path.open("rb") as lines:
        yield from map(_decode, lines)
