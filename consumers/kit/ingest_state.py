"""ingest's admin URLs -> what every ingest process behind them says of itself.

Invariants: all of them answer, or the question has no answer: one that is away may hold events that nobody
else has. An answer is bounded, and so is its time; no redirect is followed.
"""

import socket
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

import msgspec

_SECONDS_MAX = 2.0
_BYTES_MAX = 4_000_000  # metrics: a line for each type and field that drifts


class IngestAwayError(Exception):
    """An ingest process does not answer, or not as one; the text is fit for people. It may do so later."""


class TopicProblem(msgspec.Struct, frozen=True):
    """What is wrong with a topic, as ingest sees it."""

    topic: str
    words: str


class Readiness(msgspec.Struct, frozen=True):
    """The answer of `/readyz`."""

    ready: bool
    kafka: str
    spool_records: int
    spool_bytes: int
    spool_bytes_max: int
    spool_oldest_ms: int | None
    # All that was received before is in Kafka; None: not known.
    delivered_until_ms: int | None = None
    topic_problems: tuple[TopicProblem, ...] | None = None  # None: not known
    state: str = ""  # of delivery: a key of WAYS; an ingest of before has none
    set_aside_files: int = 0  # what no topic takes
    set_aside_bytes: int = 0


# Where an event goes that arrives in a state of ingest's delivery, in words.
WAYS = {
    "direct": "to Kafka",
    "spooling": "to its disk, for Kafka does not acknowledge",
    "catching_up": "behind those on its disk, which go to Kafka",
}


def way(readiness: Readiness) -> str:
    """Return where an event goes that arrives now, in words."""
    return WAYS.get(readiness.state, "to Kafka" if readiness.kafka == "direct" else "to its disk")


_readiness = msgspec.json.Decoder(Readiness).decode


def ask(urls: Iterable[str]) -> list[Readiness]:
    """Return what each process says of itself. Raises: IngestAwayError."""
    return [_parsed(*answer) for answer in _answers(urls, "/readyz")]


def metrics(urls: Iterable[str]) -> list[str]:
    """Return the metrics of each process, as text. Raises: IngestAwayError."""
    return [body.decode(errors="replace") for _, body in _answers(urls, "/metrics")]


def _answers(urls: Iterable[str], path: str) -> list[tuple[int, bytes]]:
    # A name with several addresses (a headless service, say) stands for as many processes.
    return [_answer(parts, address, path) for parts in map(urlsplit, urls) for address in _addresses(parts)]


def _addresses(parts: SplitResult) -> list[str]:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return [host]  # the certificate is for the name
    try:
        found = socket.getaddrinfo(host, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise IngestAwayError(f"{host} has no address") from error
    # Of a name with addresses of both kinds, `localhost` say, one kind is enough.
    family = found[0][0]
    return list(dict.fromkeys(str(entry[4][0]) for entry in found if entry[0] == family))


def _answer(parts: SplitResult, address: str, path: str) -> tuple[int, bytes]:
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(address, parts.port, timeout=_SECONDS_MAX)
    try:
        connection.request("GET", f"{parts.path}{path}", headers={"Host": parts.netloc.rpartition("@")[2]})
        answer: HTTPResponse = connection.getresponse()
        return answer.status, answer.read(_BYTES_MAX)
    except (OSError, HTTPException) as error:
        raise IngestAwayError("does not answer") from error
    finally:
        connection.close()


def _parsed(status: int, body: bytes) -> Readiness:
    try:
        return _readiness(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IngestAwayError(f"/readyz answers {status}, and not as ingest does") from error
