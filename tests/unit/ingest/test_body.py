"""Reading and decompressing a request's body."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from ingest.http import body
from ingest.http.memory import Memory, OverMemoryError

LIMIT = 1000


def read(messages: Iterable[Message], memory: Memory | None = None) -> bytes:
    """Read a body from the server's `messages`."""
    rest = iter(messages)

    async def receive() -> Message:
        return next(rest)

    return asyncio.run(body.read(receive, LIMIT, memory or Memory(2 * LIMIT)))


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
    """In one piece or in several."""
    with pytest.raises(body.BodyTooLargeError):
        read(messages)


def test_a_body_at_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    assert len(read([piece(b"x" * 500, more=True), piece(b"x" * 500)])) == LIMIT


def test_a_sender_that_goes_away_is_told_apart() -> None:
    """A connection cut in the middle of a body is not an event."""
    with pytest.raises(ClientDisconnect):
        read([piece(b"{", more=True), {"type": "http.disconnect"}])


def test_each_piece_of_a_body_is_counted() -> None:
    """A body larger than the remaining memory is refused, and none of it stays counted."""
    memory = Memory(LIMIT)
    memory.take(300)

    assert read([piece(b"x" * 300, more=True), piece(b"x" * 300)], memory) == b"x" * 600
    assert memory.bytes == 900
    with pytest.raises(OverMemoryError):
        read([piece(b"x" * 60, more=True), piece(b"x" * 60)], memory)
    assert memory.bytes == 900


@pytest.mark.parametrize(
    "end", [{"type": "http.disconnect"}, piece(b"x" * 900), piece(b"x" * LIMIT, more=True)]
)
def test_a_body_that_is_not_read_to_its_end_is_given_back(end: Message) -> None:
    """If its sender disconnects or it is too large."""
    memory = Memory(2 * LIMIT)

    with pytest.raises((ClientDisconnect, body.BodyTooLargeError)):
        read([piece(b"x" * 600, more=True), end, piece(b"")], memory)
    assert memory.bytes == 0


@pytest.mark.parametrize(
    "end", [{"type": "http.disconnect"}, piece(b"x" * LIMIT, more=True), piece(b"x" * 900)]
)
def test_every_piece_of_a_body_is_given_back(end: Message) -> None:
    """Of however many; a piece without a body is empty."""
    memory = Memory(2 * LIMIT)
    pieces = [
        piece(b"x" * 300, more=True),
        {"type": "http.request", "more_body": True},
        piece(b"x" * 300, more=True),
    ]

    with pytest.raises((ClientDisconnect, body.BodyTooLargeError)):
        read([*pieces, end, piece(b"")], memory)
    assert memory.bytes == 0
    assert read([*pieces, {"type": "http.request"}], memory) == b"x" * 600
