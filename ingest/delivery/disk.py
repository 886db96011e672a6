"""The file-system operations that the spool needs: a port, and its real implementation.

Invariant: every method makes one or two system calls and raises OSError. A fake can therefore lose unsynced
data, cut a write at any byte, and end the process between any two calls.
"""

import contextlib
import os
import stat
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """A file system. Every method raises: OSError."""

    def make_folder(self, folder: Path) -> None:
        """Create a folder and its missing parents."""

    def files(self, folder: Path) -> dict[Path, int]:
        """Return the files in a folder with their sizes in bytes; empty if the folder is missing."""

    def create(self, path: Path) -> int:
        """Create a file for appending and return its descriptor."""

    def write(self, descriptor: int, data: memoryview) -> int:
        """Append a prefix of `data` and return its length in bytes."""

    def sync(self, descriptor: int) -> None:
        """Sync the file's data to disk."""

    def sync_folder(self, folder: Path) -> None:
        """Sync the folder's file names to disk."""

    def truncate(self, descriptor: int, size: int) -> None:
        """Truncate the file to `size` bytes."""

    def close(self, descriptor: int) -> None:
        """Close the descriptor."""

    def read(self, path: Path, start: int, end: int) -> bytes:
        """Return the file's bytes from `start` to `end`, or to the end of the file."""

    def remove(self, path: Path) -> None:
        """Remove a file; do nothing if it is already gone."""

    def rename(self, path: Path, target: Path) -> None:
        """Rename a file."""


class OsDisk:
    """The operating system's disk."""

    def make_folder(self, folder: Path) -> None:
        """Create a folder and its missing parents."""
        folder.mkdir(parents=True, exist_ok=True)

    def files(self, folder: Path) -> dict[Path, int]:
        """Return the files in a folder with their sizes in bytes; empty if the folder is missing."""
        found = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        found[Path(entry.path)] = status.st_size
        return found

    def create(self, path: Path) -> int:
        """Create a file for appending and return its descriptor."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Append a prefix of `data` and return its length in bytes."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Sync the file's data to disk."""
        os.fsync(descriptor)

    def sync_folder(self, folder: Path) -> None:
        """Sync the folder's file names to disk."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Truncate the file to `size` bytes."""
        os.ftruncate(descriptor, size)

    def close(self, descriptor: int) -> None:
        """Close the descriptor."""
        os.close(descriptor)

    def read(self, path: Path, start: int, end: int) -> bytes:
        """Return the file's bytes from `start` to `end`, or to the end of the file."""
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def remove(self, path: Path) -> None:
        """Remove a file; do nothing if it is already gone."""
        path.unlink(missing_ok=True)

    def rename(self, path: Path, target: Path) -> None:
        """Rename a file."""
        path.rename(target)
