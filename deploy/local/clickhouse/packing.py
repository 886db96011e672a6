"""Bytes -> ClickHouse's own LZ4 blocks, as requested by `compress=1`.

Source: ClickHouse's CompressedWriteBuffer; clients verify the checksum, CityHash128 of version 1.0.2.
"""

import struct

import lz4.block
from clickhouse_cityhash.cityhash import CityHash128

_LZ4 = 0x82
_HEADER_BYTES = 9  # method, size including this header, plain size
_CHECKSUM = struct.Struct("<QQ")
_LOW = (1 << 64) - 1


def pack(data: bytes) -> bytes:
    """Return `data` as one block; empty for no data."""
    if not data:
        return b""
    packed: bytes = lz4.block.compress(data, store_size=False)
    block = struct.pack("<BII", _LZ4, _HEADER_BYTES + len(packed), len(data)) + packed
    checksum = CityHash128(block)
    return bytes(_CHECKSUM.pack(checksum >> 64, checksum & _LOW)) + block
