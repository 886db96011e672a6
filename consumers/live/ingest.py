"""ingest's base URL -> whether it takes events, in its own words.

Invariant: a look reads a bounded answer within a bounded time and follows no redirect.
"""

from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from urllib.parse import urlsplit

from consumers.live.feed import Away

_SECONDS_MAX = 2.0
_OK = 200


class Ingest:
    """Looks at ingest's readiness."""

    def __init__(self, base_url: str) -> None:
        self._parts = urlsplit(base_url)

    def look(self, now_ms: int) -> str:  # noqa: ARG002 - the port's signature
        """Return how ingest is. Raises: Away."""
        started = monotonic()
        connection = self._connect()
        try:
            connection.request("GET", f"{self._parts.path}/readyz")
            answer: HTTPResponse = connection.getresponse()
        except (OSError, HTTPException) as error:
            raise Away("does not answer") from error
        finally:
            connection.close()
        if answer.status != _OK:
            raise Away(f"takes no events: /readyz answered {answer.status}")
        return f"takes events, answered in {(monotonic() - started) * 1000:.0f} ms"

    def _connect(self) -> HTTPConnection:
        kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=_SECONDS_MAX)
