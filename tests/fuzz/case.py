"""The output of a generator: the bytes of one attempt, and their target.

Invariant: a case is a function of (seed, target, number), so a finding is repeated by naming the three.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random


@dataclass(frozen=True, slots=True)
class Case:
    """One attempt on one connection; or, for the topic, one record."""

    parts: tuple[bytes, ...]  # sent one after the other, with short pauses
    hangs_up: bool = False  # closes the connection without reading
    record: tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]] | None = (
        None  # key, value, headers
    )


@dataclass(frozen=True, slots=True)
class Place:
    """The generators' knowledge of the stack."""

    path: str  # of the webhook, with its token
    token: str
    corpus: Mapping[str, list[bytes]] = field(default_factory=dict)  # folder -> seeds


Generator = Callable[[Random, Place], Case]


def split(rng: Random, data: bytes) -> tuple[bytes, ...]:
    """Return `data` in one to four pieces."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 0, 1, 3))))
    edges = [0, *cuts, len(data)]
    return tuple(data[a:b] for a, b in pairwise(edges) if a < b)


def damaged(rng: Random, data: bytes) -> bytes:
    """Return `data` with a few bytes changed, removed, doubled or inserted."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(4):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1:
                del changed[at : at + rng.randrange(1, 20)]
            case 2:
                changed[at:at] = changed[at : at + rng.randrange(1, 40)]
            case _:
                changed[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(changed)


def request(path: str, body: bytes, *headers: bytes, method: bytes = b"POST") -> bytes:
    """Return the bytes of a valid request."""
    lines = [method + b" " + path.encode() + b" HTTP/1.1", b"Host: 127.0.0.1", *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", b""]) + body
