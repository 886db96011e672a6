"""A body and its Content-Encoding -> the decoded body, bounded.

Invariants: output never exceeds the limit, and the numbers of encodings and of members are bounded, so a
small body cannot take long. Source: RFC 9110 (Content-Encoding), RFC 1950-1952 (zlib, deflate, gzip of
several members), RFC 7932 (Brotli), RFC 8878 and 9659 (Zstandard and its window on the web).
"""

import zlib
from collections.abc import Callable

import brotli
import zstandard

from ingest.http.body import BodyTooLargeError

_NONE = frozenset({"", "identity", "none", "utf-8", "utf8"})
_ENCODINGS_MAX = 3
_MEMBERS_MAX = 64  # each copies the bytes after it
_ZLIB = 15
_GZIP = 31  # zlib's window bits for a gzip header
_RAW_DEFLATE = -15  # some senders mean this by `deflate`
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_WINDOW_BYTES_MAX = 8 * 1024 * 1024

_Decode = Callable[[bytes, int], bytes]


class EncodingError(Exception):
    """The body does not match its Content-Encoding."""


class UnknownEncodingError(Exception):
    """The Content-Encoding is not supported."""


def decoded(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """Decode `body`. `encoding`: the value of the Content-Encoding header.

    Raises: BodyTooLargeError, EncodingError, UnknownEncodingError.
    """
    names = [name for name in map(str.strip, encoding.lower().split(",")) if name not in _NONE]
    if len(names) > _ENCODINGS_MAX or not _DECODES.keys() >= set(names):
        raise UnknownEncodingError
    for name in reversed(names):
        body = _DECODES[name](body, bytes_max)
    return body


def _gunzip(body: bytes, bytes_max: int) -> bytes:
    members: list[bytes] = []
    size = 0
    while body.strip(b"\0") or not members:  # zero padding may follow
        if len(members) == _MEMBERS_MAX:
            raise EncodingError(f"the compressed body has more than {_MEMBERS_MAX} members")
        member, body = _inflated(body, _GZIP, bytes_max - size)
        members.append(member)
        size += len(member)
    return b"".join(members)


def _inflate(body: bytes, bytes_max: int) -> bytes:
    if body.startswith(_GZIP_MAGIC):
        return _gunzip(body, bytes_max)
    try:
        plain, rest = _inflated(body, _ZLIB, bytes_max)
    except zlib.error:
        plain, rest = _inflated(body, _RAW_DEFLATE, bytes_max)
    if rest:
        raise EncodingError("the compressed body has bytes after its end")
    return plain


def _inflated(body: bytes, window_bits: int, bytes_max: int) -> tuple[bytes, bytes]:
    """Return the content of one stream and the bytes after it. Raises: zlib.error, EncodingError."""
    stream = zlib.decompressobj(window_bits)
    plain = stream.decompress(body, bytes_max + 1)
    if len(plain) > bytes_max:
        raise BodyTooLargeError
    if not stream.eof:
        raise EncodingError("the compressed body is cut short")
    return plain, stream.unused_data


def _unbrotli(body: bytes, bytes_max: int) -> bytes:
    stream = brotli.Decompressor()
    plain: bytes = stream.process(body, output_buffer_limit=bytes_max + 1)
    if len(plain) > bytes_max:
        raise BodyTooLargeError
    if not stream.is_finished():
        raise EncodingError("the compressed body is cut short")
    return plain


def _unzstd(body: bytes, bytes_max: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    # Only the reader can be bounded, and only the other interface detects a truncated frame.
    plain = decompressor.stream_reader(body, read_across_frames=True).read(bytes_max + 1)
    if len(plain) > bytes_max:
        raise BodyTooLargeError
    for _ in range(_MEMBERS_MAX):
        stream = decompressor.decompressobj()
        stream.decompress(body)
        if not stream.eof:
            raise EncodingError("the compressed body is cut short")
        if not (body := stream.unused_data):
            return plain
    raise EncodingError(f"the compressed body has more than {_MEMBERS_MAX} frames")


def _with_our_errors(decode: _Decode) -> _Decode:
    """Wrap `decode` to map the libraries' errors to ours."""

    def checked(body: bytes, bytes_max: int) -> bytes:
        try:
            return decode(body, bytes_max)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise EncodingError("the body is not compressed as its Content-Encoding says") from error

    return checked


_DECODES: dict[str, _Decode] = {
    "gzip": _with_our_errors(_inflate),
    "x-gzip": _with_our_errors(_inflate),
    "deflate": _with_our_errors(_inflate),
    "br": _with_our_errors(_unbrotli),
    "zstd": _with_our_errors(_unzstd),
}
