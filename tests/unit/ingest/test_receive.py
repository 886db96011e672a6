"""One body -> an accepted event, or a rejected one with all that the quarantine must know. Pure."""

import json
from typing import Any

import pytest

from consumers.kit.decode import fields_of
from ingest.http.receive import Accepted, BodyOrigin, Receiver, Rejected
from runtime.kafka import topics
from schemas.catalog.event_time import AHEAD_MS_MAX, EVENT_MS_MIN
from schemas.catalog.wire import checksum
from tests.support.warehouse import CATALOG, NOW_MS, body

_RECEIVER = Receiver(CATALOG)


def received(given: bytes, origin: BodyOrigin | None = None) -> Accepted | Rejected:
    """Return what becomes of a body."""
    return _RECEIVER.receive(given, {}, NOW_MS, *([origin] if origin else []))


def quarantined(found: Accepted | Rejected) -> dict[str, Any]:
    """Return the fields of a rejected body's record, whose own parts are right."""
    assert isinstance(found, Rejected)
    record, headers = found.record, dict(found.record.headers)
    kept = fields_of(CATALOG.quarantine, record.value)
    assert (record.topic, record.timestamp_ms) == (topics.QUARANTINE, NOW_MS)
    assert headers["crc32"] == checksum(record.value)
    assert record.key == (kept["app_id"] or "").encode()
    assert headers.get("event_id") == (kept["event_id"].encode() if kept["event_id"] else None)
    return kept


@pytest.mark.parametrize(
    ("at_ms", "is_accepted"),
    [
        (EVENT_MS_MIN - 1, False),
        (EVENT_MS_MIN, True),
        (NOW_MS, True),
        (NOW_MS + AHEAD_MS_MAX, True),
        (NOW_MS + AHEAD_MS_MAX + 1, False),
    ],
)
def test_a_time_is_accepted_within_its_bounds(at_ms: int, is_accepted: bool) -> None:  # noqa: FBT001
    """Both bounds included; a rejected time is named."""
    found = received(body(timestamp=at_ms))

    assert isinstance(found, Accepted) == is_accepted
    if isinstance(found, Rejected):
        assert [fault.pointer for fault in found.faults] == ["/timestamp"]
        assert quarantined(found)["pointer"] == "/timestamp"


def test_an_accepted_event_is_received_now() -> None:
    """Its record has the app as key, and a checksum of its value."""
    found = received(body(app_id="shop"))

    assert isinstance(found, Accepted)
    assert (found.record.topic, found.record.key) == (topics.EVENTS, b"shop")
    assert (found.record.timestamp_ms, found.unknown) == (NOW_MS, 0)
    assert dict(found.record.headers)["crc32"] == checksum(found.record.value)


def test_a_rejected_body_keeps_its_ids_and_its_senders_rights() -> None:
    """A replay may do no more than its sender; faults are listed."""
    given = json.loads(body(app_id="shop", event_id="one")) | {"timestamp": None, "timestamp_iso": None}
    kept = quarantined(received(json.dumps(given).encode(), BodyOrigin(frozenset({"b", "a"}), "br" * 80)))

    assert (kept["app_id"], kept["event_id"], kept["source"]) == ("shop", "one", "ingest")
    assert (kept["allowed_app_ids"], kept["content_encoding"]) == ("a|b", "br" * 50)
    assert kept["body"] == json.dumps(given).encode()


def test_an_unreadable_body_of_an_unbound_sender_has_neither() -> None:
    """Null, not an empty text."""
    kept = quarantined(received(b"{"))

    assert (kept["reason"], kept["body"], kept["app_id"]) == ("not_json", b"{", None)
    assert (kept["allowed_app_ids"], kept["content_encoding"], kept["pointer"]) == (None, None, None)
