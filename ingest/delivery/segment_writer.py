"""Bytes -> the segment file being written, and its successors. Every method runs on the spool's disk thread.

Invariants: what `write` returned for is synced, with the name of its file. After a failed write its segment
is never written again: once fsync has failed, the kernel may have dropped the pages.
"""

import contextlib
from pathlib import Path

from ingest.delivery.disk import Disk

SUFFIX = ".spool"
SEGMENT_BYTES_MAX = 4 * 1024 * 1024  # what a crash while catching up can repeat at most


class SegmentWriter:
    """The end of the spool on disk."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self._folder = folder
        self._sequence = -1  # of the newest segment; unknown before the folder was read
        self._path = folder
        self._descriptor = -1  # of the segment being written, or -1
        self._size = 0

    def open(self) -> dict[Path, int]:
        """Return the segments found, oldest first, with their sizes in bytes. Raises: OSError."""
        self._disk.make_folder(self._folder)
        sizes = self._disk.files(self._folder)
        paths = sorted(path for path in sizes if path.suffix == SUFFIX and path.stem.isdecimal())
        self._sequence = max([0, self._sequence, *(int(path.stem) for path in paths)])
        return {path: sizes[path] for path in paths}

    def write(self, data: bytes) -> Path:
        """Return the segment that now holds `data`, synced. Raises: OSError, with nothing of `data` kept."""
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
        """End the segment being written, if there is one. Raises: OSError; it is ended all the same."""
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
