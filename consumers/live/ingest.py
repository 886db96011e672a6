"""ingest's base URL -> whether it takes events, and what waits in its spool.

Invariant: a look reads a bounded answer within a bounded time and follows no redirect.
"""

from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from urllib.parse import urlsplit

import msgspec

from consumers.live.poller import Away
from consumers.live.state import Intake, Spool

_SECONDS_MAX = 2.0
_BYTES_MAX = 10_000
_OK = 200


class _Readiness(msgspec.Struct):
    kafka: str = "direct"
    spool_records: int = 0
    spool_bytes: int = 0
    spool_bytes_max: int = 0
    spool_oldest_ms: int | None = None


_readiness = msgspec.json.Decoder(_Readiness).decode


class Ingest:
    """Looks at ingest's readiness."""

    def __init__(self, base_url: str) -> None:
        self._parts = urlsplit(base_url)

    def look(self, now_ms: int) -> Intake:
        """Return how ingest is. Raises: Away."""
        started = monotonic()
        connection = self._connect()
        try:
            connection.request("GET", f"{self._parts.path}/readyz")
            answer: HTTPResponse = connection.getresponse()
            body = answer.read(_BYTES_MAX)
        except (OSError, HTTPException) as error:
            raise Away("does not answer") from error
        finally:
            connection.close()
        if answer.status != _OK:
            raise Away(f"takes no events: /readyz answered {answer.status}")
        try:
            found = _readiness(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Away("/readyz answers something else than ingest's") from error
        where = "to Kafka" if found.kafka == "direct" else "to its disk, because Kafka is away"
        spool = Spool(
            found.spool_records, found.spool_bytes, found.spool_bytes_max, found.spool_oldest_ms, now_ms
        )
        spent_ms = (monotonic() - started) * 1000
        return Intake(f"takes events {where}; answered in {spent_ms:.0f} ms", spool, now_ms)

    def _connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=_SECONDS_MAX)
