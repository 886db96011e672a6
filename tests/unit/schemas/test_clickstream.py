"""Events of Tapcart's Clickstream Webhook: identified by the key `event`, completed by headers."""

import json
from typing import Any

import pytest

from schemas.codec.events import EventDecoder
from tests.unit.schemas.sample import body_of, record_of, refusal

CLICKSTREAM = {
    "event": "cartAdd",
    "data": {"a": [1.50]},
    "properties": {"os": "iOS"},
    "mp_metadata": {"mp_event_id": "id-1", "mp_session_id": "s-1"},
}
HEADERS = {"appid": "app-1", "deviceid": "d-1", "eventid": "id-1", "eventtype": "cartAdd"}


def test_a_clickstream_event_is_known_by_its_key(decoder: EventDecoder) -> None:
    """Its app and device come from headers, its id and session from mp_metadata; the rest is JSON text."""
    event = decoder.decode(json.dumps(CLICKSTREAM).encode(), HEADERS)
    record = record_of(event)

    assert event.release.name == "Clickstream"
    assert (event.app_id, event.event_id, event.event_type) == ("app-1", "id-1", "cartAdd")
    assert (event.schema_id, event.timestamp_ms) == ("Event_Clickstream_1_0_0", None)
    assert (record["device_id"], record["session_id"], record["extra"]) == ("d-1", "s-1", {})
    for name in ("data", "properties", "mp_metadata"):
        assert json.loads(record[name]) == CLICKSTREAM[name]


def test_clickstream_headers_that_say_something_else_are_kept(decoder: EventDecoder) -> None:
    """Whether they equal the body's fields is undocumented; unknown fields are kept too."""
    body = json.dumps(CLICKSTREAM | {"app_id": 1, "data": [1]}).encode()
    event = decoder.decode(body, HEADERS | {"eventid": "other", "eventtype": "cart_add"})

    assert record_of(event)["extra"] == {
        "app_id": 1,
        "data": [1],
        "header eventid": "other",
        "header eventtype": "cart_add",
    }
    assert event.event_id == "id-1"


@pytest.mark.parametrize(
    ("mp_metadata", "event_id"),
    [
        (None, "id-1"),
        ("x", "id-1"),
        ({"mp_event_id": ["x"]}, "id-1"),
        ({"mp_event_id": ""}, "id-1"),
        ({}, "id-1"),
        ({"mp_event_id": 5}, "5"),
    ],
)
def test_the_header_tells_the_id_that_the_body_does_not(
    decoder: EventDecoder, mp_metadata: Any, event_id: str
) -> None:
    """The body's mp_event_id has priority, as its text."""
    event = decoder.decode(json.dumps(CLICKSTREAM | {"mp_metadata": mp_metadata}).encode(), HEADERS)

    assert event.event_id == event_id


def test_a_clickstream_event_needs_an_app_an_id_and_a_type(decoder: EventDecoder) -> None:
    """All faults are reported at once, with the known fields."""
    error = refusal(decoder, b'{"event": "", "mp_metadata": {}}', appid="")
    known = refusal(decoder, b'{"event": "cartAdd"}', appid="app-1")

    assert [fault.pointer for fault in error.faults] == ["/event", "/mp_metadata/mp_event_id", ""]
    assert (known.app_id, known.event_id, known.event_type) == ("app-1", None, "cartAdd")


def test_a_body_with_both_keys_is_no_clickstream_event(decoder: EventDecoder) -> None:
    """`event_type` decides."""
    event = decoder.decode(body_of(event="cartAdd"), {})

    assert event.release.name == "AppOpened"
    assert event.unknown == ("event",)
