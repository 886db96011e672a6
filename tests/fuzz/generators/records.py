"""Records of foreign producers: valid values with damage, odd headers, odd keys."""

from random import Random

from runtime.kafka import record_headers
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.codec.events import EventDecoder, Invalid, NotJson
from tests.fuzz.case import Case, Place, damaged
from tests.fuzz.generators.bodies import text

_CATALOG = Catalog.load()
_DECODER = EventDecoder(_CATALOG)
_NOW_MS = 1_790_000_000_000


def make(rng: Random, _place: Place) -> Case:
    """Return one record for the topic of events."""
    try:
        decoded = _DECODER.decode(text(rng), {})
        value, key = decoded.encode(_NOW_MS), decoded.app_id.encode("utf-8", "replace")
    except (NotJson, Invalid):
        value, key = wire.prefix(rng.randrange(30)) + rng.randbytes(rng.randrange(300)), rng.randbytes(5)
    if rng.random() < 0.5:
        value = damaged(rng, value)
    headers: list[tuple[str, bytes | None]] = []
    if rng.random() < 0.5:
        headers.append((record_headers.EVENT_ID, rng.choice((b"", None, b"\xff", b"x" * 2000))))
    match rng.randrange(4):
        case 0:
            headers.append((record_headers.CRC32, wire.checksum(value)))
        case 1:
            headers.append((record_headers.CRC32, rng.choice((b"", None, b"1234", b"12345"))))
        case 2:
            headers.append((record_headers.SCHEMA_REGISTRY, rng.randbytes(5)))
            headers.append((record_headers.CRC32, wire.checksum(value)))
    odd_key = rng.choice((key, key, key, None, b"", rng.randbytes(2000)))
    return Case((), record=(odd_key, None if rng.random() < 0.02 else value, headers))
