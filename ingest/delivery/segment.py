"""Records <-> the bytes of one spool file. Pure.

A file is a run of frames: magic, payload length, CRC-32 of the payload, payload (a `Record` in MessagePack).

Invariants: `parse` never raises and never invents a record; a file cut at any byte yields every whole frame
before the cut; damage in the middle costs only the frames it touches.
"""

import struct
import zlib
from dataclasses import dataclass

import msgspec

from ingest.delivery.record import Record

_MAGIC = b"TPL1"
_HEADER = struct.Struct(">4sII")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


@dataclass(frozen=True, slots=True)
class Contents:
    """What one file holds."""

    records: list[Record]  # in the order they were appended
    damaged_bytes: int  # bytes that belong to no whole frame, a torn end aside
    torn_bytes: int  # a last frame cut short by a crash: it was never acknowledged


def frame(record: Record) -> bytes:
    """Return the frame of `record`."""
    payload = _encoder.encode(record)
    return _HEADER.pack(_MAGIC, len(payload), zlib.crc32(payload)) + payload


def parse(data: bytes) -> Contents:
    """Return what can be read of a file's bytes."""
    records: list[Record] = []
    position = damaged = 0
    while position < len(data):
        end = _frame_end(data, position)
        if end:
            records.append(_decoder.decode(data[position + _HEADER.size : end]))
            position = end
            continue
        following = _next_frame(data, position + 1)
        if following == len(data) and _is_torn(data, position):
            return Contents(records, damaged, len(data) - position)
        damaged += following - position
        position = following
    return Contents(records, damaged, 0)


def _frame_end(data: bytes, position: int) -> int:
    """Return where the whole frame at `position` ends, or 0 when there is none."""
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
    """Return whether the frame at `position` is sound but for its missing end."""
    rest = data[position:]
    if len(rest) < _HEADER.size:
        return _MAGIC.startswith(rest[:4])
    magic, length, _ = _HEADER.unpack_from(rest)
    return bool(magic == _MAGIC and len(rest) < _HEADER.size + length)
