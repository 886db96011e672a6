"""ingest's admin URLs -> the state reported by every ingest process behind them.

Invariants: either all processes answer, or the query fails, because a silent one may hold events that no
other has. Answers are bounded in size and time; redirects are not followed.
"""

import socket
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

import msgspec

_SECONDS_MAX = 2.0
_BYTES_MAX = 4_000_000  # metrics: a line for each type and field that drifts


class IngestAwayError(Exception):
    """An ingest process does not answer, or not like ingest. The same call may succeed later."""


class TopicProblem(msgspec.Struct, frozen=True):
    """A problem of a topic, as reported by ingest."""

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
    # Kafka has every event received before this moment; None: unknown.
    delivered_until_ms: int | None = None
    topic_problems: tuple[TopicProblem, ...] | None = None  # None: unknown
    kafka_problem: str | None = None  # why ingest cannot use Kafka, if that is known
    state: str = ""  # of delivery: a key of WAYS; empty for older versions of ingest
    set_aside_files: int = 0  # records that no topic accepts
    set_aside_bytes: int = 0


# The path of a new event, by state of ingest's delivery, as text.
WAYS = {
    "direct": "to Kafka",
    "spooling": "to its disk, because Kafka does not acknowledge",
    "catching_up": "to its disk, which is being drained to Kafka",
}


def way(readiness: Readiness) -> str:
    """Describe the path of a new event."""
    return WAYS.get(readiness.state, "to Kafka" if readiness.kafka == "direct" else "to its disk")


_readiness = msgspec.json.Decoder(Readiness).decode


def ask(urls: Iterable[str]) -> list[Readiness]:
    """Return the readiness of each process. Raises: IngestAwayError."""
    return [_parsed(*answer) for answer in _answers(urls, "/readyz")]


def metrics(urls: Iterable[str]) -> list[str]:
    """Return the metrics of each process, as text. Raises: IngestAwayError."""
    return [body.decode(errors="replace") for _, body in _answers(urls, "/metrics")]


def _answers(urls: Iterable[str], path: str) -> list[tuple[int, bytes]]:
    # A name with several addresses (such as a headless service) stands for as many processes.
    return [_answer(parts, address, path) for parts in map(urlsplit, urls) for address in _addresses(parts)]


def _addresses(parts: SplitResult) -> list[str]:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return [host]  # the certificate is issued for the name
    try:
        found = socket.getaddrinfo(host, parts.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise IngestAwayError(f"{host} has no address") from error
    # If a name has addresses of both families, like `localhost`, one family suffices.
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
        raise IngestAwayError(f"/readyz answers {status}, which is not ingest's answer") from error
