"""Decoding a Content-Encoding, within limits."""

import contextlib
import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingest.http.body import BodyTooLargeError
from ingest.http.content_encoding import EncodingError, UnknownEncodingError, decoded
from tests.support.yardstick import cpu_seconds

LIMIT = 1000
BODY = b'{"a":1}'
MEBIBYTE = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    """Return a stream without zlib's header, which some senders call deflate."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def zstd(data: bytes) -> bytes:
    """Return a frame without its length, as in a stream of frames."""
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(data) + stream.flush()


def in_members(data: bytes) -> bytes:
    """Return gzip of several members, padded with zeros, as from a flushing sender."""
    return b"".join(gzip.compress(bytes([one])) for one in data) + bytes(3)


COMPRESSORS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("gzip", in_members),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("zstd", zstandard.ZstdCompressor().compress),
    ("zstd", zstd),
]


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSORS)
def test_every_encoding_is_undone(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """Also in upper case, and in a list with names that are not encodings."""
    for written in (encoding, encoding.upper(), f"{encoding}, identity", f" none,{encoding} "):
        assert decoded(compress(BODY), written, LIMIT) == BODY


@pytest.mark.parametrize("encoding", ["", " ", "identity", "none", "utf-8", "UTF-8", "identity, none", ","])
def test_some_encodings_are_none(encoding: str) -> None:
    """Senders write them although they do not encode."""
    assert decoded(BODY, encoding, LIMIT) == BODY


def test_a_list_is_undone_from_its_end() -> None:
    """The last encoding was applied last."""
    assert decoded(brotli.compress(gzip.compress(BODY)), "gzip, br", LIMIT) == BODY
    with pytest.raises(EncodingError):
        decoded(brotli.compress(gzip.compress(BODY)), "br, gzip", LIMIT)


@pytest.mark.parametrize("encoding", ["compress", "gzip, pack200", "gzip, gzip, gzip, gzip", "\u00e9"])
def test_other_encodings_are_refused(encoding: str) -> None:
    """Unknown ones, and too many."""
    with pytest.raises(UnknownEncodingError):
        decoded(BODY, encoding, LIMIT)


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSORS)
def test_what_is_not_as_it_says_is_refused(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """Truncated, followed by other bytes, not compressed, empty."""
    whole = compress(BODY * 9).rstrip(b"\0")
    for data in (whole[:-3], whole + b"rest", b"{", b""):
        with pytest.raises(EncodingError):
            decoded(data, encoding, LIMIT)


@pytest.mark.parametrize(("encoding", "compress"), COMPRESSORS)
def test_a_bomb_is_refused(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    """It stops at the limit, whatever the full size; also with several members."""
    size = 60 if compress is in_members else 20_000_000
    bomb = compress(bytes(size))

    def refuse() -> None:
        with pytest.raises(BodyTooLargeError):
            decoded(bomb, encoding, 50 if compress is in_members else MEBIBYTE)

    assert cpu_seconds(refuse) < 1


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_of_very_many_members_is_refused(encoding: str) -> None:
    """Each costs time, although it is empty."""
    member = gzip.compress(b"") if encoding == "gzip" else zstd(b"")

    def refuse() -> None:
        with pytest.raises(EncodingError, match="more than 64"):
            decoded(member * (MEBIBYTE // len(member)), encoding, MEBIBYTE)

    assert cpu_seconds(refuse) < 0.5


@given(
    st.lists(st.binary(max_size=LIMIT), max_size=3),
    st.sampled_from(COMPRESSORS),
    st.integers(0, 10),
    st.binary(max_size=5),
)
def test_whatever_comes_is_undone_or_refused(
    parts: list[bytes], compressor: tuple[str, Callable[[bytes], bytes]], cut: int, noise: bytes
) -> None:
    """Never more than the limit, never another error."""
    encoding, compress = compressor
    data = b"".join(compress(part) for part in parts)
    data = data[: len(data) - cut] + noise
    with contextlib.suppress(BodyTooLargeError, EncodingError):
        assert len(decoded(data, encoding, LIMIT)) <= LIMIT
