"""Bytes -> the current segment file and its successors. Every method runs on the spool's disk thread.

Invariants: when `write` returns, the data and the file's name are synced. After a failed write, its segment
is never written again: the kernel may have dropped its pages after a failed fsync.
"""

import contextlib
from pathlib import Path

from ingest.delivery.disk import Disk

SUFFIX = ".spool"
SEGMENT_BYTES_MAX = 4 * 1024 * 1024  # the most that a crash while catching up can repeat


class SegmentWriter:
    """Appends to the end of the spool."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._sequence = -1  # of the newest segment; -1 until the folder is read
        self._path = folder
        self._descriptor = -1  # of the current segment, or -1
        self._size = 0

    def open(self) -> dict[Path, int]:
        """Return the existing segments, oldest first, with their sizes in bytes. Raises: OSError."""
        self._disk.make_folder(self._folder)
        sizes = self._disk.files(self._folder)
        paths = sorted(path for path in sizes if path.suffix == SUFFIX and path.stem.isdecimal())
        self._sequence = max([0, self._sequence, *(int(path.stem) for path in paths)])
        return {path: sizes[path] for path in paths}

    def write(self, data: bytes) -> Path:
        """Write and sync `data`; return its segment. Raises: OSError, and then nothing of `data` is kept."""
        try:
            if self._descriptor < 0:
                self._create()
            rest = memoryview(data)
            while rest:
                rest = rest[self._disk.write(self._descriptor, rest) :]
            self._disk.sync(self._descriptor)
        except OSError:
            self._abandon()
            raise
        self._size += len(data)
        path = self._path
        if self._size >= SEGMENT_BYTES_MAX:
            with contextlib.suppress(OSError):
                self.seal()
        return path

    def seal(self) -> None:
        """Close the current segment, if any, even if this raises. Raises: OSError."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self._disk.close(descriptor)

    def _create(self) -> None:
        self.open() if self._sequence < 0 else self._disk.make_folder(self._folder)
        self._sequence += 1
        self._path = self._folder / f"{self._sequence:020d}{SUFFIX}"
        self._size = 0
        self._descriptor = self._disk.create(self._path)
        self._disk.sync_folder(self._folder)

    def _abandon(self) -> None:
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            self._disk.truncate(self._descriptor, self._size)
        with contextlib.suppress(OSError):
            self.seal()
        if not self._size:
            with contextlib.suppress(OSError):
                self._disk.remove(self._path)
