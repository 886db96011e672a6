"""A file system in memory that fails, and that loses unsynced data in a power cut.

Invariants: data for which `sync` returned survives a power cut, if its file's name does; names survive if
`sync_folder` returned for them. Of all else, any prefix may survive. A kill loses nothing that was written.
"""

import errno
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.virtual_loop import CrashError


@dataclass(slots=True)
class _File:
    data: bytearray = field(default_factory=bytearray)
    synced: int = 0  # bytes that survive


_Move = tuple[Path | None, Path | None, _File | None]  # from, to; the file, where it is new


@dataclass(slots=True)
class Weather:
    """The present state of the disk."""

    seconds: float = 0.0  # an operation of the spool takes about this
    error: float = 0.0  # probability that a call fails
    full: bool = False


class Platters:
    """The contents of the disk, whichever process uses it."""

    def __init__(self, rng: random.Random) -> None:
        self.weather = Weather()
        self.names: dict[Path, _File] = {}
        self._rng = rng
        self._synced_names: dict[Path, _File] = {}
        self._renamings: list[_Move] = []  # since the last sync, in order

    def change(self, old: Path | None, new: Path | None, file: _File | None = None) -> None:
        """Create, rename or remove a name."""
        moved = self.names.pop(old) if old else file
        if new:
            assert moved is not None
            self.names[new] = moved
        self._renamings.append((old, new, file))

    def sync_names(self, folder: Path) -> None:
        """Make the names in a folder durable."""
        others = {path: file for path, file in self._synced_names.items() if path.parent != folder}
        self._synced_names = others | {p: f for p, f in self.names.items() if p.parent == folder}
        self._renamings = [move for move in self._renamings if _folder_of(move) != folder]

    def cut_power(self) -> None:
        """Lose unsynced data, or some of it."""
        files = {id(file): file for file in (*self.names.values(), *self._synced_names.values())}
        survived = dict(self._synced_names)
        for old, new, made in self._renamings[: self._rng.randint(0, len(self._renamings))]:
            file = survived.pop(old, None) if old else made
            if new and file:
                survived[new] = file
        self.names = survived
        self._synced_names, self._renamings = dict(survived), []
        for file in files.values():
            kept = self._rng.randint(file.synced, len(file.data))
            torn = file.data[file.synced : kept]
            if torn and self._rng.random() < 0.3:
                torn[self._rng.randrange(len(torn)) :] = bytes(1)  # a sector that was never written
            file.data[file.synced :] = torn
            file.synced = len(file.data)

    def survives(self, text: bytes) -> bool:
        """Return whether a power cut would leave `text`."""
        return any(text in file.data[: file.synced] for file in self._synced_names.values())

    def has(self, text: bytes) -> bool:
        """Return whether a file holds `text`."""
        return any(text in file.data for file in self.names.values())


class FakeDisk:
    """One process's view of the platters; a `Disk`."""

    def __init__(self, platters: Platters, rng: random.Random, removed: Callable[[bytes], None]) -> None:
        self.calls_left = -1  # steps until the process ends in the middle of a call; negative: never
        self._platters = platters
        self._rng = rng
        self._removed = removed  # called with a removed file's content
        self._descriptors = itertools.count()
        self._open: dict[int, _File] = {}

    def make_folder(self, folder: Path) -> None:  # noqa: ARG002 - all are there
        """Create a folder and its missing parents."""
        self._called()

    def files(self, folder: Path) -> dict[Path, int]:
        """Return the files in a folder with their sizes in bytes; empty if the folder is missing."""
        self._called()
        return {path: len(f.data) for path, f in self._platters.names.items() if path.parent == folder}

    def create(self, path: Path) -> int:
        """Create a file for appending and return its descriptor."""
        self._called()
        if path in self._platters.names:
            raise OSError(errno.EEXIST, "File exists")
        file = _File()
        self._platters.change(None, path, file)
        descriptor = next(self._descriptors)
        self._open[descriptor] = file
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        """Append a prefix of `data` and return its length in bytes."""
        written = self._rng.randint(1, len(data)) if self._rng.random() < 0.1 else len(data)
        try:
            self._called(full=self._platters.weather.full)
        except (OSError, CrashError):
            written = self._rng.randint(0, written)
            raise
        finally:
            self._open[descriptor].data += data[:written]
        return written

    def sync(self, descriptor: int) -> None:
        """Sync the file's data to disk."""
        self._called()
        file = self._open[descriptor]
        file.synced = len(file.data)

    def sync_folder(self, folder: Path) -> None:
        """Sync the folder's file names to disk."""
        self._called()
        self._platters.sync_names(folder)

    def truncate(self, descriptor: int, size: int) -> None:
        """Truncate the file to `size` bytes."""
        self._called()
        file = self._open[descriptor]
        del file.data[size:]
        file.synced = min(size, file.synced)

    def close(self, descriptor: int) -> None:
        """Close the descriptor."""
        del self._open[descriptor]

    def read(self, path: Path, start: int, end: int) -> bytes:
        """Return the file's bytes from `start` to `end`, or to the end of the file."""
        self._called()
        if path not in self._platters.names:
            raise OSError(errno.ENOENT, "No such file or directory")
        return bytes(self._platters.names[path].data[start:end])

    def remove(self, path: Path) -> None:
        """Remove a file; do nothing if it is already gone."""
        self._called()
        if path in self._platters.names:
            data = bytes(self._platters.names[path].data)
            self._platters.change(path, None)
            self._removed(data)

    def rename(self, path: Path, target: Path) -> None:
        """Rename a file."""
        self._called()
        self._platters.change(path, target)

    def _called(self, *, full: bool = False) -> None:
        self.calls_left -= 1
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.calls_left == 0:
            raise CrashError
        if self._platters.weather.error and self._rng.random() < self._platters.weather.error:
            raise OSError(errno.EIO, "Input/output error")


def _folder_of(move: _Move) -> Path:
    old, new, _ = move
    path = new or old
    assert path
    return path.parent
