"""A quarantined body -> readable, redacted text.

Invariant: a body refused by a consumer is a Kafka value; it is decoded if possible.
"""

import msgspec

from consumers.live.newest import decoded
from consumers.live.redact import body_shortened
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire_ids import releases_of


class Samples:
    """Decodes bodies with the schemas in use."""

    def __init__(self, reloader: SchemaReloader) -> None:
        self._reloader = reloader

    def text(self, body: bytes, source: str) -> str:
        """Return the body (or its beginning) as text; `source` is the component that refused it."""
        if source != "ingest":
            # Uses our own id, if the record had one; other producers' values may start with a registry's id.
            datum = decoded(body, reversed(releases_of(self._reloader.catalog, body, ())))
            if datum is None:
                return f"{len(body)} undecodable bytes, starting with {body[:32].hex(' ')}"
            body = msgspec.json.encode(datum)
        return body_shortened(body)
