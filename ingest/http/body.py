"""The body of one request -> its bytes, decompressed and bounded.

Invariants: at most the limit is held in memory, before and after decompression; each piece is counted in
`Memory` as it comes; at most `_DISCARDED_BYTES_MAX` more is read and thrown away, so that the sender gets to
read why. Source: RFC 9110
(Content-Encoding), RFC 1950-1952.
"""

import asyncio
import zlib

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ingest.http.memory import Memory

_DISCARDED_BYTES_MAX = 32 * 1024 * 1024
_SECONDS_MAX = 20.0  # for a body that comes in pieces; Tapcart's fit into one
_ZLIB_OR_GZIP = 47  # zlib's window bits: both headers are recognised
_RAW_DEFLATE = -15  # what some senders mean by `deflate`


class TooLargeError(Exception):
    """The body is over the limit."""


class EncodingError(Exception):
    """The body is not what its Content-Encoding says."""


class UnknownEncodingError(Exception):
    """The Content-Encoding is none that we decode."""


async def read(receive: Receive, bytes_max: int, memory: Memory) -> bytes:
    """Return the body as sent; the caller gives its bytes back to `memory`.

    Raises: TooLargeError, ClientDisconnect, TimeoutError, OverMemoryError.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        async with asyncio.timeout(_SECONDS_MAX):
            return await _read_in_pieces(receive, body, bytes_max, memory)
    if len(body) > bytes_max:
        raise TooLargeError
    memory.take(len(body))
    return body


async def _read_in_pieces(receive: Receive, first: bytes, bytes_max: int, memory: Memory) -> bytes:
    pieces: list[bytes] = []
    taken = size = 0
    piece, more = first, True
    try:
        while True:
            size += len(piece)
            if size <= bytes_max:
                memory.take(len(piece))
                taken += len(piece)
                pieces.append(piece)
            if not more or size > bytes_max + _DISCARDED_BYTES_MAX:
                break
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece, more = message.get("body", b""), message.get("more_body", False)
        if size > bytes_max:
            raise TooLargeError
        whole, taken = b"".join(pieces), 0
        return whole
    finally:
        memory.give_back(taken)


def decompress(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """Return `body` freed of `encoding` (a Content-Encoding header's value).

    Raises: TooLargeError, EncodingError, UnknownEncodingError.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip" | "deflate":
            return _inflate(body, bytes_max)
        case _:
            raise UnknownEncodingError


def _inflate(body: bytes, bytes_max: int) -> bytes:
    for window_bits in (_ZLIB_OR_GZIP, _RAW_DEFLATE):
        stream = zlib.decompressobj(window_bits)
        try:
            plain = stream.decompress(body, bytes_max + 1)
        except zlib.error:
            continue
        if len(plain) > bytes_max:
            raise TooLargeError
        if not stream.eof or stream.unused_data:
            raise EncodingError("the compressed body is cut short or has bytes behind its end")
        return plain
    raise EncodingError("the body is not compressed as its Content-Encoding says")
