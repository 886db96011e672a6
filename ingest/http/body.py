"""The body of one request -> its bytes, bounded.

Invariants: memory holds at most the limit; each piece is counted in `Memory` as it arrives. At most
`_DISCARDED_BYTES_MAX` more is read and discarded, so that the sender can read the answer.
"""

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from ingest.http.memory import Memory

_DISCARDED_BYTES_MAX = 32 * 1024 * 1024


class BodyTooLargeError(Exception):
    """The body is over the limit."""


async def read(receive: Receive, bytes_max: int, memory: Memory) -> bytes:
    """Return the body as sent; the caller gives its bytes back to `memory`.

    The port bounds the duration. Raises: BodyTooLargeError, ClientDisconnect, OverMemoryError.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        return await _read_in_pieces(receive, body, bytes_max, memory)
    if len(body) > bytes_max:
        raise BodyTooLargeError
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
            raise BodyTooLargeError
        whole, taken = b"".join(pieces), 0
        return whole
    finally:
        memory.give_back(taken)
