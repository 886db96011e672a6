"""Confluent's framing."""

import zlib

import pytest

from schemas.catalog import wire


@pytest.mark.parametrize("wire_id", [1, 17, 2**31, 2**32 - 1])
def test_the_id_is_read_back(wire_id: int) -> None:
    """A prefix has 5 bytes and its id can be read, whatever follows."""
    value = wire.prefix(wire_id) + b"body"

    assert len(wire.prefix(wire_id)) == wire.HEADER_BYTES
    assert wire.wire_id_of(value) == wire_id


def test_the_prefix_is_byte_0_and_the_id_big_endian() -> None:
    """As Confluent's clients read it."""
    assert wire.prefix(258) == b"\x00\x00\x00\x01\x02"


@pytest.mark.parametrize("value", [b"", b"\x00\x00\x00\x00", b"\x01\x00\x00\x00\x01body", b'{"event":1}'])
def test_other_values_have_no_id(value: bytes) -> None:
    """Too short values and values without the leading byte 0 are not framed."""
    assert wire.wire_id_of(value) is None


def test_the_checksum_is_of_the_whole_value() -> None:
    """CRC-32, big-endian: four bytes, even with leading zeros."""
    assert wire.checksum(b"123456789") == bytes.fromhex("cbf43926")
    assert wire.checksum(b"") == b"\x00\x00\x00\x00"
    assert int.from_bytes(wire.checksum(b"\x00body"), "big") == zlib.crc32(b"\x00body")
