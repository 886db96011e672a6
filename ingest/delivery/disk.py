"""What the spool needs of a file system: a port, and the real one.

Invariant: every method is a call or two of the system and raises OSError, so that a fake can lose what was
not synced, cut a write at any byte, and end the process between any two calls.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """A file system. Every method raises: OSError."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, where they are missing."""

    def files(self, folder: Path) -> dict[Path, int]:
        """Return the files in a folder and their sizes in bytes; none where there is no folder."""

    def create(self, path: Path) -> int:
        """Return the descriptor of a new file, to be appended to."""

    def write(self, descriptor: int, data: memoryview) -> int:
        """Append the beginning of `data`; return how many bytes."""

    def sync(self, descriptor: int) -> None:
        """Return when what was written is on the disk."""

    def sync_folder(self, folder: Path) -> None:
        """Return when the names of a folder's files are on the disk."""

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file."""

    def close(self, descriptor: int) -> None:
        """Forget a descriptor."""

    def read(self, path: Path, start: int, end: int) -> bytes:
        """Return the bytes of a file from `start` to `end`, or to where the file ends."""

    def remove(self, path: Path) -> None:
        """Remove a file; none is there if it was removed before."""

    def rename(self, path: Path, target: Path) -> None:
        """Rename a file."""


class OsDisk:
    """The real one."""

    def make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, where they are missing."""
        folder.mkdir(parents=True, exist_ok=True)

    def files(self, folder: Path) -> dict[Path, int]:
        """Return the files in a folder and their sizes in bytes; none where there is no folder."""
        found = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        found[Path(entry.path)] = status.st_size
        return found

    def create(self, path: Path) -> int:
        """Return the descriptor of a new file, to be appended to."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Append the beginning of `data`; return how many bytes."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Return when what was written is on the disk."""
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Return when the names of a folder's files are on the disk."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file."""
        os.ftruncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        """Forget a descriptor."""
        os.close(descriptor)

    def read(self, path: Path, start: int, end: int) -> bytes:
        """Return the bytes of a file from `start` to `end`, or to where the file ends."""
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def remove(self, path: Path) -> None:
        """Remove a file; none is there if it was removed before."""
        path.unlink(missing_ok=True)

    def rename(self, path: Path, target: Path) -> None:
        """Rename a file."""
        path.rename(target)
