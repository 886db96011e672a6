"""One body -> an accepted event, or a rejected one with all that the quarantine must know. Pure."""

import json
from typing import Any

import pytest

from consumers.kit.decode import fields_of
from ingest.delivery.quarantined import of_refused
from ingest.http.receive import Accepted, BodyOrigin, Receiver, Rejected
from runtime.kafka import record_key, topics
from schemas.catalog.event_time import AHEAD_MS_MAX, EVENT_MS_MIN
from schemas.catalog.wire import checksum
from schemas.codec.redaction import HASH, Redaction, RedactionRules
from tests.support.warehouse import CATALOG, NOW_MS, SAMPLES, body

_RECEIVER = Receiver(CATALOG)
_TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


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


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_key_may_name_the_device(name: str) -> None:
    """Of every type; an event without a device, and a rejected body, have the app's key."""
    by_device = Receiver(CATALOG, key_of=record_key.KEYS["app_id,device_id"])
    sent = json.loads(body(name, app_id="shop", device_id="d-1"))

    assert by_device.receive(json.dumps(sent).encode(), {}, NOW_MS).record.key == b"shop\0d-1"
    for no_device in ({"device_id": None}, {"device_id": ""}, {"timestamp": 0, "timestamp_iso": None}):
        assert by_device.receive(json.dumps(sent | no_device).encode(), {}, NOW_MS).record.key == b"shop"


def test_a_record_that_kafka_refuses_is_of_its_app() -> None:
    """Whatever its key adds."""
    refused = Receiver(CATALOG, key_of=record_key.of_device).receive(body(app_id="shop"), {}, NOW_MS).record
    assert refused.key != b"shop"
    kept = fields_of(CATALOG.quarantine, of_refused(CATALOG, refused, "too large").value)

    assert kept["app_id"] == "shop"


def test_a_redacted_device_is_not_in_the_key() -> None:
    """The key holds what the value holds."""
    redaction = Redaction(RedactionRules({("device_id",): HASH}, {}, b"k" * 32))
    by_device = Receiver(CATALOG, redaction, record_key.of_device)
    for sent in (body(device_id="d-1"), body(device_id="d-1", brand_new=1)):
        record = by_device.receive(sent, {}, NOW_MS).record
        _, _, device = record.key.partition(b"\0")

        assert device.startswith(b"hmac:")
        assert device in record.value


def test_a_rejected_body_keeps_its_ids_and_its_senders_rights() -> None:
    """A replay may do no more than its sender; faults are listed."""
    given = json.loads(body(app_id="shop", event_id="one")) | {"timestamp": None, "timestamp_iso": None}
    kept = quarantined(received(json.dumps(given).encode(), BodyOrigin(frozenset({"b", "a"}), "br" * 80)))

    assert (kept["app_id"], kept["event_id"], kept["source"]) == ("shop", "one", "ingest")
    assert (kept["allowed_app_ids"], kept["content_encoding"]) == ("a|b", "br" * 50)
    assert kept["body"] == json.dumps(given).encode()


def test_a_record_names_the_trace_of_its_sender() -> None:
    """Of an event, of a rejected body, also for a replay, and of a record that Kafka refuses."""
    origin = BodyOrigin(traceparent=_TRACE)
    accepted, rejected = received(body(), origin).record, received(b"{", origin).record
    refused = of_refused(CATALOG, accepted, "too large")

    assert [dict(one.headers)["traceparent"] for one in (accepted, rejected, refused)] == [_TRACE] * 3
    assert quarantined(received(b"{", origin))["traceparent"] == _TRACE.decode()
    assert "traceparent" not in dict(received(body()).record.headers)


def test_an_unreadable_body_of_an_unbound_sender_has_neither() -> None:
    """Null, not an empty text."""
    kept = quarantined(received(b"{"))

    assert (kept["reason"], kept["body"], kept["app_id"]) == ("not_json", b"{", None)
    assert (kept["allowed_app_ids"], kept["content_encoding"], kept["pointer"]) == (None, None, None)
