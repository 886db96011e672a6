"""Reading and decompressing a request's body."""

import asyncio
import gzip
import zlib
from collections.abc import Iterable

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from ingest.http import body

LIMIT = 1000


def read(messages: Iterable[Message]) -> bytes:
    """Return what is read when the server hands over `messages`."""
    rest = iter(messages)

    async def receive() -> Message:
        return next(rest)

    return asyncio.run(body.read(receive, LIMIT))


def piece(data: bytes, *, more: bool = False) -> Message:
    """Return an ASGI message."""
    return {"type": "http.request", "body": data, "more_body": more}


def test_reads_a_body_in_pieces() -> None:
    """Pieces are joined in order."""
    assert read([piece(b"a", more=True), piece(b"b", more=True), piece(b"c")]) == b"abc"


@pytest.mark.parametrize(
    "messages",
    [
        [piece(b"x" * 1001)],
        [piece(b"x" * 600, more=True), piece(b"x" * 600, more=True), piece(b"x" * 600)],
    ],
)
def test_refuses_a_body_over_the_limit(messages: list[Message]) -> None:
    """Whether it comes whole or in pieces."""
    with pytest.raises(body.TooLargeError):
        read(messages)


def test_a_body_at_the_limit_is_read() -> None:
    """The bound itself is allowed."""
    assert len(read([piece(b"x" * 500, more=True), piece(b"x" * 500)])) == LIMIT


def test_a_sender_that_goes_away_is_told_apart() -> None:
    """A connection cut in the middle of a body is no event."""
    with pytest.raises(ClientDisconnect):
        read([piece(b"{", more=True), {"type": "http.disconnect"}])


def _raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", _raw_deflate),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_decompresses(encoding: str, compress: "type[bytes]") -> None:
    """Both things that senders call deflate are taken."""
    assert body.decompress(compress(b'{"a":1}'), encoding, LIMIT) == b'{"a":1}'


def test_the_limit_holds_after_decompression() -> None:
    """A bomb is refused after the limit's bytes, whatever it would grow to."""
    with pytest.raises(body.TooLargeError):
        body.decompress(gzip.compress(b"x" * 50_000_000), "gzip", LIMIT)


@pytest.mark.parametrize(
    "data",
    [gzip.compress(b"x" * 100)[:-5], gzip.compress(b"x") + b"rest", b"not gzip", b""],
    ids=["cut", "more", "not gzip", "empty"],
)
def test_what_is_not_as_it_says_is_refused(data: bytes) -> None:
    """Cut short, followed by other bytes, not compressed at all, empty."""
    with pytest.raises(body.EncodingError):
        body.decompress(data, "gzip", LIMIT)


def test_unknown_encodings_are_refused() -> None:
    """Only what every sender knows is taken."""
    with pytest.raises(body.UnknownEncodingError):
        body.decompress(b"x", "br", LIMIT)
