"""ingest's base URL -> whether it takes events, and since when some wait in its spool.

Invariant: a look reads a bounded answer within a bounded time and follows no redirect.
"""

from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from urllib.parse import urlsplit

import msgspec

from consumers.live.feed import Away
from consumers.live.state import Intake

_SECONDS_MAX = 2.0
_BYTES_MAX = 10_000
_OK = 200


class _Readiness(msgspec.Struct):
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
            oldest_ms = _readiness(body).spool_oldest_ms
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Away("/readyz answers something else than ingest's") from error
        return Intake(f"takes events, answered in {(monotonic() - started) * 1000:.0f} ms", oldest_ms, now_ms)

    def _connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=_SECONDS_MAX)
