"""Records awaiting Kafka <-> segment files on disk, in order.

Appends that arrive while a write is under way share the next write and its fsync (group commit).

Invariants: `append` returns after fsync. A segment is removed only as a whole, after Kafka has all its
records, so a crash can repeat records but not lose one. After a failed write its segment is never written
again: once fsync has failed the kernel may have dropped the pages. Damaged segments are delivered as far as
they can be read, and set aside. Source: DESIGN.md, "Spool", with the measurement against SQLite.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from ingest.delivery.record import Record
from ingest.delivery.segment import Contents, frame, parse
from schemas.environment import SettingsError

_SEGMENT_BYTES_MAX = 4 * 1024 * 1024  # what a crash while draining can repeat at most
_FIRST_BYTES = 64 * 1024  # hold the first record of nearly every segment; its file's time does else
_SUFFIX = ".spool"

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class SpoolInUseError(SettingsError):
    """Another process has the spool: each would remove what the other still writes."""


class SpoolUnavailableError(Exception):
    """The record is not on disk: no room, or the disk refused. The same call may succeed later."""


def hold(directory: Path) -> int:
    """Return a descriptor by which this process holds the spool until it ends; -1 where there is no folder.

    Raises: SpoolInUseError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return -1  # `Spool.open` tells what is wrong with it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SpoolInUseError(
            f"INGEST_SPOOL_DIR: another process has the spool {directory} ({_words(error)}): "
            "end it, or give each a folder of its own"
        ) from error
    return descriptor


@dataclass(slots=True)
class Segment:
    """One file of the spool."""

    size: int  # bytes
    oldest_ms: int  # timestamp of its first record
    records: int  # estimated, where an earlier process left the segment


@dataclass(frozen=True, slots=True)
class _Append:
    data: bytes
    timestamp_ms: int
    written: asyncio.Future[None]


class Spool:
    """The disk queue of one ingest process; every method is called on its event loop."""

    def __init__(self, directory: Path, bytes_max: int) -> None:
        self.bytes = 0  # on disk or on the way there
        self.bytes_max = bytes_max
        self.unavailable = ""  # why the disk refused the last write; empty when it did not
        self._segments: dict[Path, Segment] = {}  # oldest first
        self._files = _Files(directory)
        self._waiting: list[_Append] = []
        self._writing: asyncio.Task[None] | None = None
        self._disk = ThreadPoolExecutor(1, "spool")

    async def open(self) -> None:
        """Find what an earlier process left; a folder that cannot be used is told by `unavailable`."""
        try:
            self._segments = await self._on_disk(self._files.open)
        except OSError as error:
            self.unavailable = _words(error)
        self.bytes = sum(segment.size for segment in self._segments.values())

    @property
    def empty(self) -> bool:
        """Whether nothing awaits Kafka, appends under way included."""
        return not (self._segments or self._writing)

    @property
    def records(self) -> int:
        """How many records are on disk; about, as long as segments of an earlier process are there."""
        return sum(segment.records for segment in self._segments.values())

    def oldest_ms(self) -> int | None:
        """Return the timestamp of the record that has waited longest, or None when none does."""
        first = next(iter(self._segments.values()), None)
        return first.oldest_ms if first else None

    async def append(self, record: Record) -> None:
        """Return when `record` is fsynced. Raises: SpoolUnavailableError."""
        data = frame(record)
        if self.bytes + len(data) > self.bytes_max:
            raise SpoolUnavailableError(f"the spool is full: {self.bytes} of {self.bytes_max} bytes")
        self.bytes += len(data)
        written = asyncio.get_running_loop().create_future()
        self._waiting.append(_Append(data, record.timestamp_ms, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_waiting())
        await written

    async def oldest(self) -> Path | None:
        """Return the oldest segment, not written to any more, or None when the spool is empty."""
        while not self._segments and self._writing:
            await asyncio.wait([self._writing])
        if len(self._segments) == 1:
            await self._on_disk(self._files.seal)
        return next(iter(self._segments), None)

    def is_last(self, path: Path) -> bool:
        """Return whether nothing awaits Kafka behind the segment at `path`."""
        return not self._writing and self._segments.keys() == {path}

    async def read(self, path: Path) -> Contents:
        """Return what can be read of the segment at `path`. Raises: SpoolUnavailableError."""
        try:
            return parse(await self._on_disk(path.read_bytes))
        except OSError as error:
            raise SpoolUnavailableError(f"{path.name} cannot be read: {_words(error)}") from error

    async def remove(self, path: Path, *, set_aside: bool) -> None:
        """Forget a segment whose records Kafka has; `set_aside` keeps the file as `*.damaged`."""
        self.bytes -= self._segments.pop(path).size
        try:
            await self._on_disk(_set_aside if set_aside else _unlink, path)
        except OSError as error:
            self.unavailable = _words(error)

    async def close(self) -> None:
        """Finish the writes under way."""
        while self._writing:
            await asyncio.wait([self._writing])
        with contextlib.suppress(OSError):
            await self._on_disk(self._files.seal)
        self._disk.shutdown()

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            await self._write(batch)
        self._writing = None

    async def _write(self, batch: list[_Append]) -> None:
        data = b"".join(append.data for append in batch)
        failure = None
        try:
            path = await self._on_disk(self._files.write, data)
            segment = self._segments.setdefault(path, Segment(0, batch[0].timestamp_ms, 0))
            segment.size += len(data)
            segment.records += len(batch)
            self.unavailable = ""
        except OSError as error:
            self.bytes -= len(data)
            self.unavailable = _words(error)
            failure = SpoolUnavailableError(f"the spool's disk refused: {self.unavailable}")
        for append in batch:
            if append.written.done():
                continue
            if failure:
                append.written.set_exception(failure)
            else:
                append.written.set_result(None)

    async def _on_disk(self, call: Callable[[Unpack[_Ts]], _T], *arguments: *_Ts) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, call, *arguments)


class _Files:
    """The segment being written and its successors; every method is called on the disk thread."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sequence = 0
        self._path = directory
        self._descriptor = -1  # of the segment being written, or -1
        self._size = 0

    def open(self) -> dict[Path, Segment]:
        """Return the segments found, oldest first. Raises: OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        paths = sorted(self._directory.glob(f"*{_SUFFIX}"))
        self._sequence = int(paths[-1].stem) if paths else 0
        return {path: _segment(path) for path in paths}

    def write(self, data: bytes) -> Path:
        """Return the segment that now holds `data`, fsynced. Raises: OSError, with nothing of `data` kept."""
        if self._descriptor < 0:
            self._create()
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError:
            self._abandon()
            raise
        self._size += len(data)
        path = self._path
        if self._size >= _SEGMENT_BYTES_MAX:
            self.seal()
        return path

    def seal(self) -> None:
        """End the segment being written, if there is one."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _create(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._sequence += 1
        self._path = self._directory / f"{self._sequence:020d}{_SUFFIX}"
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._size = 0
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _abandon(self) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self._size)
        with contextlib.suppress(OSError):
            self.seal()
        if not self._size:
            with contextlib.suppress(OSError):
                self._path.unlink()


def _segment(path: Path) -> Segment:
    """Return what the beginning of a file tells of it."""
    status = path.stat()
    with path.open("rb") as file:
        contents = parse(file.read(_FIRST_BYTES))
    if not contents.records:
        return Segment(status.st_size, round(status.st_mtime * 1000), 1 if status.st_size else 0)
    read = min(status.st_size, _FIRST_BYTES) - contents.torn_bytes - contents.damaged_bytes
    records = round(status.st_size * len(contents.records) / read)
    return Segment(status.st_size, contents.records[0].timestamp_ms, records)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _set_aside(path: Path) -> None:
    path.rename(path.with_suffix(".damaged"))


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
