"""A request's body as sent -> its plain bytes, piece by piece, bounded.

Invariants: no piece exceeds `_PIECE_BYTES_MAX` under any compression; a truncated body raises instead of
passing for a shorter one. Source: Content-Encoding as clickhouse-connect sends it (one frame per block, so
several frames may follow each other), and ClickHouse's own blocks for `decompress=1`, whose checksums are not
verified on this loopback.
"""

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import lz4.block
import lz4.frame
from backports import zstd
from starlette.requests import Request

from deploy.local.clickhouse.faults import FrontError

_PIECE_BYTES_MAX = 1024 * 1024
# ClickHouse's block: 16 bytes of checksum, then method, compressed size including these nine bytes, plain
# size.
_CHECKSUM_BYTES, _HEADER_BYTES = 16, 9
_LZ4, _ZSTD, _NONE = 0x82, 0x90, 0x02
# Clients use 1 MiB. The size is only a claim, and its memory would be allocated at once.
_BLOCK_BYTES_MAX = 64 * 1024 * 1024


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Zlib:
    """zlib's decompressor with the interface of the others."""

    def __init__(self, window_bits: int) -> None:
        self._one = zlib.decompressobj(window_bits)
        self._tail = b""

    @property
    def eof(self) -> bool:
        return self._one.eof

    @property
    def needs_input(self) -> bool:
        return not self._tail

    @property
    def unused_data(self) -> bytes:
        return self._one.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        plain = self._one.decompress(self._tail + data, max_length)
        self._tail = self._one.unconsumed_tail
        return plain


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "lz4": lz4.frame.LZ4FrameDecompressor,
    "zstd": zstd.ZstdDecompressor,
}


async def plain(request: Request, *, blocks: bool, bytes_max: int) -> AsyncIterator[bytes]:
    """Yield the plain bytes of the body; `blocks`: it uses ClickHouse's own compression.

    Raises: FrontError; ClientDisconnect if the client disconnects early.
    """
    encoding = request.headers.get("content-encoding", "").lower()
    if encoding not in ("", "identity", *_DECOMPRESSORS):
        raise FrontError(
            48, "NOT_IMPLEMENTED", f"Content-Encoding {encoding!r} is not supported by this front"
        )
    pieces = _raw(request)
    if encoding in _DECOMPRESSORS:
        pieces = _decompressed(pieces, _DECOMPRESSORS[encoding])
    if blocks:
        pieces = _from_blocks(pieces)
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > bytes_max:
            raise FrontError(
                307, "TOO_MANY_BYTES", f"Body is larger than CLICKHOUSE_BODY_BYTES_MAX = {bytes_max}"
            )
        yield piece


async def _raw(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        if piece:
            yield piece


async def _decompressed(
    pieces: AsyncIterator[bytes], make: Callable[[], _Decompressor]
) -> AsyncIterator[bytes]:
    one: _Decompressor | None = None
    async for piece in pieces:
        rest = piece
        while rest:
            if one is None or one.eof:
                one = make()
            for out in _drained(one, rest):
                yield out
            rest = (one.unused_data or b"") if one.eof else b""
    if one is not None and not one.eof:
        raise FrontError(33, "CANNOT_READ_ALL_DATA", "The compressed body ends too early")


def _drained(one: _Decompressor, data: bytes) -> Iterator[bytes]:
    try:
        yield one.decompress(data, _PIECE_BYTES_MAX)
        while not one.eof and not one.needs_input:
            yield one.decompress(b"", _PIECE_BYTES_MAX)
    except (zlib.error, zstd.ZstdError, RuntimeError) as error:
        raise FrontError(271, "CANNOT_DECOMPRESS", f"Cannot decompress the body: {error}") from error


async def _from_blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    have = bytearray()
    async for piece in pieces:
        have += piece
        while len(have) >= _CHECKSUM_BYTES + _HEADER_BYTES:
            size = int.from_bytes(have[17:21], "little")
            if size > _BLOCK_BYTES_MAX:
                raise _too_large(size)
            if size < _HEADER_BYTES or len(have) < _CHECKSUM_BYTES + size:
                break
            yield _block(bytes(have[_CHECKSUM_BYTES : _CHECKSUM_BYTES + size]))
            del have[: _CHECKSUM_BYTES + size]
    if have:
        raise FrontError(33, "CANNOT_READ_ALL_DATA", "The compressed body ends too early")


def _block(block: bytes) -> bytes:
    method, plain_bytes, data = block[0], int.from_bytes(block[5:9], "little"), block[_HEADER_BYTES:]
    if plain_bytes > _BLOCK_BYTES_MAX:
        raise _too_large(plain_bytes)
    try:
        if method == _LZ4:
            return bytes(lz4.block.decompress(data, uncompressed_size=plain_bytes))
        if method == _ZSTD:
            return zstd.ZstdDecompressor().decompress(data, plain_bytes)
        if method == _NONE:
            return data
    except (lz4.block.LZ4BlockError, zstd.ZstdError) as error:
        raise FrontError(
            271, "CANNOT_DECOMPRESS", f"Cannot decompress a block of the body: {error}"
        ) from error
    raise FrontError(89, "UNKNOWN_COMPRESSION_METHOD", f"Unknown compression method {method:#x} of a block")


def _too_large(size: int) -> FrontError:
    return FrontError(299, "TOO_LARGE_SIZE_COMPRESSED", f"A block of {size} bytes is too large")
