"""Confluent's wire format: byte 0, the schema id in 4 bytes big-endian, the Avro body; and its checksum.

Source: Confluent's documentation of the wire format. The checksum is Tapline's: the loader concatenates
bodies without decoding them, so damage must be detected before (docs/decisions/0016-loader.md).
"""

import struct
import zlib

HEADER_BYTES = 5

_HEADER = struct.Struct(">bI")
_CHECKSUM = struct.Struct(">I")
_MAGIC = 0


def prefix(wire_id: int) -> bytes:
    """Return the header of a value with the schema `wire_id`."""
    return _HEADER.pack(_MAGIC, wire_id)


def wire_id_of(value: bytes) -> int | None:
    """Return the schema id, or None if `value` is not framed."""
    if len(value) < HEADER_BYTES:
        return None
    magic, wire_id = _HEADER.unpack_from(value)
    return int(wire_id) if magic == _MAGIC else None


def checksum(value: bytes) -> bytes:
    """Return the CRC-32 of a whole value, including its header: 4 bytes, big-endian."""
    return _CHECKSUM.pack(zlib.crc32(value))
