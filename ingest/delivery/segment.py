"""Records <-> the bytes of one spool file. Pure.

A file is a run of frames: magic, payload length, CRC-32 of the payload, payload (an
`OutgoingRecord` in MessagePack).

Invariants: `parse` never raises and never invents a record; a file cut at any byte yields every whole frame
before the cut; damage in the middle costs only the frames it touches, and its bytes are returned verbatim.
"""

import struct
import zlib
from dataclasses import dataclass

import msgspec

from ingest.delivery.record import OutgoingRecord

_MAGIC = b"TPL1"
_HEADER = struct.Struct(">4sII")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(OutgoingRecord)


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One record, or a run of damaged bytes."""

    end: int  # position of the next byte
    record: OutgoingRecord | None
    damage: bytes = b""  # verbatim, if there is no record


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of one file."""

    frames: list[Frame]  # in the order they were appended
    torn_bytes: int  # length of a last frame cut short by a crash; it was never acknowledged

    @property
    def records(self) -> list[OutgoingRecord]:
        """The records, in order."""
        return [frame.record for frame in self.frames if frame.record]

    @property
    def damaged_bytes(self) -> int:
        """Bytes that belong to no record, except a torn last frame."""
        return sum(len(frame.damage) for frame in self.frames)


def frame(record: OutgoingRecord) -> bytes:
    """Encode `record` as a frame."""
    payload = _encoder.encode(record)
    return _HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload


def parse(data: bytes) -> Contents:
    """Parse a file's bytes; damage is returned as frames without a record."""
    frames: list[Frame] = []
    position = 0
    while position < len(data):
        end = _frame_end(data, position)
        record = _record(data[position + _HEADER.size : end]) if end else None
        if not end:
            end = _next_frame(data, position + 1)
            if end == len(data) and _is_torn(data, position):
                return Contents(frames, len(data) - position)
        frames.append(Frame(end, record, b"" if record else data[position:end]))
        position = end
    return Contents(frames, 0)


def _record(payload: bytes) -> OutgoingRecord | None:
    """Decode the record, or return None if the payload has another layout."""
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _frame_end(data: bytes, position: int) -> int:
    """Return where the whole frame at `position` ends, or 0 if there is none."""
    if len(data) - position < _HEADER.size:
        return 0
    magic, length, crc = _HEADER.unpack_from(data, position)
    start = position + _HEADER.size
    if magic != _MAGIC or start + length > len(data):
        return 0
    return start + length if zlib.crc32(data[start : start + length]) == crc else 0


def _next_frame(data: bytes, position: int) -> int:
    """Return where the next whole frame begins, or the end of `data`."""
    while (position := data.find(_MAGIC, position)) >= 0:
        if _frame_end(data, position):
            return position
        position += 1
    return len(data)


def _is_torn(data: bytes, position: int) -> bool:
    """Return whether the frame at `position` only lacks its end."""
    rest = data[position:]
    if len(rest) < _HEADER.size:
        return _MAGIC.startswith(rest[:4])
    magic, length, _ = _HEADER.unpack_from(rest)
    return bool(magic == _MAGIC and len(rest) < _HEADER.size + length)
