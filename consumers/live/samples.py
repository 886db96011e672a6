"""A body of the quarantine -> text that a person can read, with what names a person shortened.

Invariant: what a consumer refused is a Kafka value; it is shown decoded where it can be.
"""

import msgspec

from consumers.live.newest import decoded
from consumers.live.redact import body_shortened
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire_ids import releases_of


class Samples:
    """Reads bodies by the schemas in use."""

    def __init__(self, current: SchemaReloader) -> None:
        self._current = current

    def text(self, body: bytes, source: str) -> str:
        """Return the body (or its beginning) as text; `source` is who refused it."""
        if source != "ingest":
            # By our own id, if the record told it; another's may begin with a registry's.
            datum = decoded(body, reversed(releases_of(self._current.catalog, body, ())))
            if datum is None:
                return f"{len(body)} bytes that do not decode, beginning with {body[:32].hex(' ')}"
            body = msgspec.json.encode(datum)
        return body_shortened(body)
