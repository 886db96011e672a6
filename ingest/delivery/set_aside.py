"""Bytes that no topic accepts -> one file each, in a folder of bounded size.

Invariants: `keep` returns after fsync. A file is named after its content, so no file overwrites another and
keeping the same bytes twice makes one file. `python -m ingest.spool` lists, shows and requeues the files.
"""

import contextlib
import hashlib
from pathlib import Path

from ingest.delivery.disk import Disk, OsDisk
from ingest.delivery.disk_thread import DiskThread
from ingest.delivery.spool import SpoolUnavailableError

FOLDER = "set-aside"  # inside the spool's folder
SUFFIX = ".aside"
_PART, _LEGACY = ".part", ".damaged"


class SetAside:
    """The folder of files set aside. Call every method on the event loop."""

    def __init__(self, spool_dir: Path, bytes_max: int, disk: Disk | None = None) -> None:
        self.bytes = 0  # at the last count
        self.files = 0
        self.bytes_max = bytes_max
        self._spool_dir = spool_dir
        self._folder = spool_dir / FOLDER
        self._disk = disk or OsDisk()
        self._thread = DiskThread("set-aside")

    async def open(self) -> None:
        """Count the existing files; an unreadable folder counts as empty."""
        with contextlib.suppress(OSError):
            await self._thread.run(self._adopt)
        await self.scan()

    async def scan(self) -> None:
        """Recount the files, because another process requeues them."""
        with contextlib.suppress(OSError):
            self._count(await self._thread.run(self._sizes))

    async def keep(self, data: bytes, timestamp_ms: int) -> None:
        """Write and sync `data`. Raises: SpoolUnavailableError."""
        try:
            self._count(await self._thread.run(self._write, data, timestamp_ms))
        except OSError as error:
            raise SpoolUnavailableError(f"{self._folder}: {error.strerror or error}") from error

    def _count(self, sizes: dict[Path, int]) -> None:
        self.files, self.bytes = len(sizes), sum(sizes.values())

    def _sizes(self) -> dict[Path, int]:
        return {path: size for path, size in self._disk.files(self._folder).items() if path.suffix == SUFFIX}

    def _write(self, data: bytes, timestamp_ms: int) -> dict[Path, int]:
        self._disk.make_folder(self._folder)
        path = self._folder / name_of(data, timestamp_ms)
        sizes = self._sizes()
        if path in sizes:
            return sizes
        if (held := sum(sizes.values())) + len(data) > self.bytes_max:
            raise OSError(0, f"full: {held} of {self.bytes_max} bytes (INGEST_SET_ASIDE_BYTES_MAX)")
        part = path.with_suffix(_PART)
        self._disk.remove(part)
        descriptor = self._disk.create(part)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._disk.write(descriptor, rest) :]
            self._disk.sync(descriptor)
        finally:
            self._disk.close(descriptor)
        self._disk.rename(part, path)
        self._disk.sync_folder(self._folder)
        return sizes | {path: len(data)}

    def _adopt(self) -> None:
        """Move files of earlier versions here, and remove files that a crash cut short."""
        for path in self._disk.files(self._folder):
            if path.suffix == _PART:
                self._disk.remove(path)
        for path, size in self._disk.files(self._spool_dir).items():
            if path.suffix == _LEGACY:
                self._disk.make_folder(self._folder)
                name = name_of(self._disk.read(path, 0, size), 0)
                self._disk.rename(path, self._folder / name)


def name_of(data: bytes, timestamp_ms: int) -> str:
    """Return the file name for `data`."""
    return f"{timestamp_ms:013d}-{hashlib.sha256(data).hexdigest()[:16]}{SUFFIX}"
