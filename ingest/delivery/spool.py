"""Records awaiting Kafka <-> segment files on disk, in order.

Appends that arrive during a write share the next write and its fsync (group commit). Reads continue into the
segment being written, up to the last sync.

Invariants: `append` returns after fsync. Records are read in the order of their appends. A segment is removed
only as a whole, once Kafka has all its records: a crash can repeat records but not lose one. Data waits in
memory only while its `append` waits. Source: docs/decisions/0005-spool-segments.md.
"""

import asyncio
import contextlib
import itertools
from dataclasses import dataclass
from pathlib import Path

from ingest.delivery.disk import Disk, OsDisk
from ingest.delivery.disk_thread import DiskThread
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.segment import Contents, Frame, frame, parse
from ingest.delivery.segment_writer import SEGMENT_BYTES_MAX, SegmentWriter

_FIRST_BYTES = 64 * 1024  # enough to hold the first record of nearly every segment


class SpoolUnavailableError(Exception):
    """The disk failed or is full. The same call may succeed later."""


@dataclass(slots=True)
class _Segment:
    """One file. Invariant: delivered <= read <= size."""

    size: int  # synced bytes
    oldest_ms: int | None  # timestamp of its first undelivered record
    records: int  # undelivered; estimated if an earlier process left the segment
    read: int = 0  # bytes handed to the reader
    delivered: int = 0  # bytes whose records Kafka has
    is_estimated: bool = False  # whether `records` is an estimate, until the segment is read


@dataclass(frozen=True, slots=True)
class _Append:
    data: bytes
    timestamp_ms: int
    written: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Piece:
    """A contiguous part of one segment, as read."""

    path: Path
    start: int  # position of the first frame in the segment
    end: int
    contents: Contents

    @property
    def frames(self) -> list[Frame]:
        """The frames; their ends count from the start of the piece."""
        return self.contents.frames

    def position(self, index: int) -> int:
        """Return the position in the segment of the frame `index`, or of the piece's end."""
        if index == len(self.frames):
            return self.end
        return self.start + (self.frames[index - 1].end if index else 0)


class Spool:
    """The disk queue of one ingest process. Call every method on its event loop."""

    def __init__(self, directory: Path, bytes_max: int, disk: Disk | None = None) -> None:
        self.bytes = 0  # on disk or being written
        self.bytes_max = bytes_max
        self.is_open = False  # whether the segments of an earlier process are known
        self.unavailable = ""  # error of the last write; empty if it succeeded
        self._segments: dict[Path, _Segment] = {}  # oldest first
        self._disk = disk or OsDisk()
        self._writer = SegmentWriter(self._disk, directory)
        self._numbers = itertools.count()
        self._waiting: dict[int, _Append] = {}  # in order
        self._writing: list[_Append] = []
        self._wake = asyncio.Event()  # set while there is something to write
        self._wrote = asyncio.Event()  # set when a write ends, then replaced
        self._write_thread = DiskThread("spool-write")
        # Separate: reads must not wait for an fsync, or catching up would be as slow as the disk.
        self._read_thread = DiskThread("spool-read")

    async def open(self) -> None:
        """Find the segments of an earlier process. Raises: SpoolUnavailableError, and sets `unavailable`."""
        try:
            found = await self._write_thread.run(self._found)
        except OSError as error:
            self.unavailable = _words(error)
            raise SpoolUnavailableError(f"the spool's folder cannot be read: {self.unavailable}") from error
        self.is_open = True
        inherited = {path: segment for path, segment in found.items() if path not in self._segments}
        self.bytes += sum(segment.size for segment in inherited.values())
        self._segments = dict(sorted((inherited | self._segments).items()))

    async def run(self) -> None:
        """Write appended records, until cancelled."""
        while True:
            await self._wake.wait()
            while self._waiting:
                await self._write_batch()
            self._wake.clear()
            self._tell_reader()

    @property
    def empty(self) -> bool:
        """Whether Kafka has every appended record."""
        return not (self._waiting or self._writing) and all(
            segment.delivered == segment.size for segment in self._segments.values()
        )

    @property
    def records(self) -> int:
        """The number of records on disk that await Kafka; estimated for unread inherited segments."""
        return sum(segment.records for segment in self._segments.values())

    @property
    def unread_bytes(self) -> int:
        """Bytes appended but not read yet, including those being written."""
        on_disk = sum(segment.size - segment.read for segment in self._segments.values())
        return on_disk + sum(len(append.data) for append in (*self._waiting.values(), *self._writing))

    def oldest_ms(self) -> int | None:
        """Return the timestamp of the oldest waiting record, or None if none waits."""
        waiting = (s.oldest_ms for s in self._segments.values() if s.delivered < s.size)
        return next((oldest_ms for oldest_ms in waiting if oldest_ms is not None), None)

    async def append(self, record: OutgoingRecord) -> None:
        """Write and sync `record`. Raises: SpoolUnavailableError."""
        data = frame(record)
        if self.bytes + len(data) > self.bytes_max:
            raise SpoolUnavailableError(f"the spool is full: {self.bytes} of {self.bytes_max} bytes")
        self.bytes += len(data)
        number, written = next(self._numbers), asyncio.get_running_loop().create_future()
        self._waiting[number] = _Append(data, record.timestamp_ms, written)
        self._wake.set()
        try:
            await written
        finally:
            if self._waiting.pop(number, None):  # cancelled before its write began
                self.bytes -= len(data)

    async def read(self) -> Piece | None:
        """Return the next piece, waiting for a write under way; None if everything has been read.

        Raises: SpoolUnavailableError.
        """
        while not (path := next((p for p, s in self._segments.items() if s.read < s.size), None)):
            if not (self._waiting or self._writing):
                return None
            await self._wrote.wait()
        segment = self._segments[path]
        start, end = segment.read, segment.size
        try:
            data = await self._read_thread.run(self._disk.read, path, start, end)
        except OSError as error:
            raise SpoolUnavailableError(f"{path.name} cannot be read: {_words(error)}") from error
        piece = Piece(path, start, end, parse(data))
        segment.read = end
        if segment.is_estimated:
            segment.records, segment.is_estimated = len(piece.contents.records), False
        return piece

    def rewind(self) -> None:
        """Continue reading at the first undelivered record."""
        for segment in self._segments.values():
            segment.read = segment.delivered

    def acknowledge(self, piece: Piece, first: int, last: int) -> None:
        """Mark the frames of `piece` from `first` up to, not including, `last` as delivered."""
        segment = self._segments[piece.path]
        start = piece.position(first) if first else piece.start
        assert segment.delivered == start, "delivered out of order"
        assert piece.position(last) <= segment.read
        segment.delivered = piece.position(last)
        passed = [frame.record.timestamp_ms for frame in piece.frames[first:last] if frame.record]
        behind = (frame.record.timestamp_ms for frame in piece.frames[last:] if frame.record)
        segment.records -= len(passed)
        segment.oldest_ms = next(behind, passed[-1] if passed else segment.oldest_ms)

    async def remove_delivered(self) -> None:
        """Remove fully delivered segments, except the last, which may still be written."""
        for path in [*self._segments][:-1]:
            if self._segments[path].delivered == self._segments[path].size:
                self.bytes -= self._segments.pop(path).size
                await self._remove(self._read_thread, path)

    async def clear(self) -> None:
        """Remove every segment; Kafka must have all their records."""
        assert self.empty, "a segment with undelivered records would be removed"
        paths = [*self._segments]
        self.bytes -= sum(segment.size for segment in self._segments.values())
        self._segments.clear()
        with contextlib.suppress(OSError):
            await self._write_thread.run(self._writer.seal)
        for path in paths:
            await self._remove(self._write_thread, path)

    async def close(self) -> None:
        """Finish the writes under way."""
        while self._waiting:
            await self._write_batch()
        with contextlib.suppress(OSError):
            await self._write_thread.run(self._writer.seal)
        self._write_thread.close()
        self._read_thread.close()

    async def _write_batch(self) -> None:
        self._writing = batch = self._next_batch()
        data = b"".join(append.data for append in batch)
        failure = None
        try:
            path = await self._write_thread.run(self._writer.write, data)
        except OSError as error:
            self.bytes -= len(data)
            self.unavailable = _words(error)
            failure = SpoolUnavailableError(f"the spool's disk failed: {self.unavailable}")
        else:
            self._count(path, len(data), batch)
            self.unavailable = ""
        self._writing = []
        for append in batch:
            if append.written.done():
                continue
            if failure:
                append.written.set_exception(failure)
            else:
                append.written.set_result(None)
        self._tell_reader()

    def _next_batch(self) -> list[_Append]:
        batch: list[_Append] = []
        size = 0
        while self._waiting and size < SEGMENT_BYTES_MAX:
            append = self._waiting.pop(next(iter(self._waiting)))
            batch.append(append)
            size += len(append.data)
        return batch

    def _count(self, path: Path, size: int, batch: list[_Append]) -> None:
        segment = self._segments.setdefault(path, _Segment(0, None, 0))
        if segment.delivered == segment.size:
            segment.oldest_ms = batch[0].timestamp_ms
        segment.size += size
        segment.records += len(batch)

    def _tell_reader(self) -> None:
        self._wrote.set()
        self._wrote = asyncio.Event()

    def _found(self) -> dict[Path, _Segment]:
        return {path: self._inherited(path, size) for path, size in self._writer.open().items()}

    def _inherited(self, path: Path, size: int) -> _Segment:
        """Describe a segment of an earlier process by reading its beginning, if possible."""
        contents = Contents([], 0)
        with contextlib.suppress(OSError):
            contents = parse(self._disk.read(path, 0, _FIRST_BYTES))
        records = contents.records
        if not records:
            return _Segment(size, None, 0, is_estimated=True)
        read = min(size, _FIRST_BYTES) - contents.torn_bytes - contents.damaged_bytes
        estimate = round(size * len(records) / read)
        return _Segment(size, records[0].timestamp_ms, estimate, is_estimated=True)

    async def _remove(self, thread: DiskThread, path: Path) -> None:
        try:
            await thread.run(self._disk.remove, path)
        except OSError as error:
            self.unavailable = _words(error)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
