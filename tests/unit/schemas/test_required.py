"""Required and optional fields of an event: no odd optional field loses an event."""

import json
from typing import Any

import pytest

from schemas.catalog.schema_model import ID_BYTES_MAX
from schemas.codec.events import EventDecoder, FieldFault
from tests.support.process import SAMPLES
from tests.unit.schemas.sample import APP_OPENED, body_of, record_of, refusal
from tests.unit.schemas.test_clickstream import CLICKSTREAM, HEADERS

SENT_MS = 1_760_011_205_031
TOO_LONG = f"must not be longer than {ID_BYTES_MAX} bytes of UTF-8"


@pytest.mark.parametrize("event_type", ["AppOpened", "PurchaseCompleted", "WishlistShared"])
@pytest.mark.parametrize("device_id", [..., None, ""])
def test_an_event_may_lack_a_device(decoder: EventDecoder, event_type: str, device_id: Any) -> None:
    """Tapcart's page on PurchaseCompleted shows none: the column is empty, and nothing is odd."""
    event = decoder.decode(body_of(event_type=event_type, device_id=device_id, metadata=...), {})

    assert record_of(event)["device_id"] == ""
    assert (event.odd, event.unknown) == ((), ()) or event_type == "PurchaseCompleted"


def test_a_known_event_without_a_device_takes_the_fast_path(
    decoder: EventDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every purchase from a shop's server would take the slow path."""
    monkeypatch.setattr(EventDecoder, "_decode_slowly", None)

    for device_id in (..., None, ""):
        assert decoder.decode(body_of(device_id=device_id), {}).event_type == "AppOpened"


@pytest.mark.parametrize(
    ("value", "column", "extra"),
    [(5, "5", {}), (True, "true", {}), (["d"], "", {"device_id": ["d"]}), ({}, "", {"device_id": {}})],
)
def test_an_odd_device_id_costs_no_event(
    decoder: EventDecoder, value: Any, column: str, extra: dict[str, Any]
) -> None:
    """It is an ordinary optional field."""
    event = decoder.decode(body_of(device_id=value), {})
    record = record_of(event)

    assert (record["device_id"], record["extra"], event.odd) == (column, extra, ("device_id",))


@pytest.mark.parametrize("timestamp", [f'"{SENT_MS}"', f'" {SENT_MS} "', f"{SENT_MS}.0", "1.760011205031e12"])
@pytest.mark.parametrize("iso", ["2001-01-01T00:00:00Z", None])
def test_a_whole_number_in_another_spelling_is_the_time(
    decoder: EventDecoder, timestamp: str, iso: str | None
) -> None:
    """A float without a fraction, or digits as text; `timestamp_iso` is then ignored."""
    event = decoder.decode(body_of(timestamp_iso=iso).replace(b"1760011205031", timestamp.encode()), {})
    record = record_of(event)

    assert (event.timestamp_ms, event.time_member) == (SENT_MS, "timestamp")
    assert (record["timestamp"], record["timestamp_iso"], record["extra"]) == (SENT_MS, iso, {})
    assert event.odd == ("timestamp",)


@pytest.mark.parametrize(
    ("iso", "milliseconds"),
    [
        ("2025-10-09T05:00:05.031-07:00", 1_760_011_205_031),
        ("2025-10-09T12:00:05.031999Z", 1_760_011_205_031),
        ("2025-10-09 12:00:05+0000", 1_760_011_205_000),
        ("2025-10-09T12:00:05", 1_760_011_205_000),
        ("2025-10-09T12:00", 1_760_011_200_000),
    ],
)
@pytest.mark.parametrize("timestamp", [..., None, "soon", "", [1], 1.5, 10**30, True])
def test_an_unusable_timestamp_gives_way_to_timestamp_iso(
    decoder: EventDecoder, timestamp: Any, iso: str, milliseconds: int
) -> None:
    """Both are kept as sent; without an offset the time is UTC."""
    event = decoder.decode(body_of(timestamp=timestamp, timestamp_iso=iso), {})
    record = record_of(event)

    assert (event.timestamp_ms, event.time_member) == (milliseconds, "timestamp_iso")
    assert (record["timestamp"], record["timestamp_iso"]) == (milliseconds, iso)
    is_sent = timestamp not in (..., None)
    assert record["extra"] == ({"timestamp": timestamp} if is_sent else {})
    assert event.odd == (("timestamp",) if is_sent else ())
    assert event.unknown == ()


@pytest.mark.parametrize("name", ["app_id", "event_id", "device_id", "session_id"])
@pytest.mark.parametrize("event_type", ["AppOpened", "WishlistShared"])
def test_ids_are_bounded_in_bytes(decoder: EventDecoder, event_type: str, name: str) -> None:
    """1 KiB of UTF-8 is kept, and one byte more is refused by name; the other ids are reported."""
    longest = "ä" * (ID_BYTES_MAX // 2)
    event = decoder.decode(body_of(event_type=event_type, **{name: longest}), {})
    error = refusal(decoder, body_of(event_type=event_type, **{name: longest + "x"}))

    assert record_of(event)[name] == longest
    assert error.faults == (FieldFault(f"/{name}", TOO_LONG),)
    assert error.event_id == (None if name == "event_id" else APP_OPENED["event_id"])
    assert error.app_id == (None if name == "app_id" else APP_OPENED["app_id"])


def test_event_types_are_bounded_in_bytes(decoder: EventDecoder) -> None:
    """An unknown type becomes a key in pages and reports."""
    error = refusal(decoder, body_of(event_type="x" * (ID_BYTES_MAX + 1)))

    assert error.faults == (FieldFault("/event_type", TOO_LONG),)
    assert error.event_type is None


def test_a_schema_id_too_long_for_a_header_is_kept_in_its_column(decoder: EventDecoder) -> None:
    """For known and unknown types: the record's header names the release instead."""
    for event_type in ("AppOpened", "WishlistShared"):
        event = decoder.decode(body_of(event_type=event_type, metadata={"schema_id": "x" * 5000}), {})

        assert record_of(event)["metadata"]["schema_id"] == "x" * 5000
        assert event.schema_id == event.release.schema_id


@pytest.mark.parametrize(
    ("headers", "body", "fault"),
    [
        ({"appid": "x" * 1025}, {}, FieldFault("", TOO_LONG)),
        ({"deviceid": "x" * 1025}, {}, FieldFault("", f"the header deviceid {TOO_LONG}")),
        ({}, {"mp_metadata": {"mp_event_id": "x" * 1025}}, FieldFault("/mp_metadata/mp_event_id", TOO_LONG)),
        (
            {},
            {"mp_metadata": {"mp_event_id": "e", "mp_session_id": "x" * 1025}},
            FieldFault("/mp_metadata/mp_session_id", TOO_LONG),
        ),
        ({}, {"event": "x" * 1025}, FieldFault("/event", TOO_LONG)),
    ],
)
def test_ids_of_clickstream_events_are_bounded_too(
    decoder: EventDecoder, headers: dict[str, str], body: dict[str, Any], fault: FieldFault
) -> None:
    """Including those in headers."""
    assert refusal(decoder, json.dumps(CLICKSTREAM | body).encode(), **(HEADERS | headers)).faults == (fault,)


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
@pytest.mark.parametrize("name", sorted(APP_OPENED))
def test_required_are_only_type_id_app_and_a_time(decoder: EventDecoder, path: Any, name: str) -> None:
    """Every other member of every documented event may be missing."""
    event = json.loads(path.read_bytes())
    event.pop(name, None)
    body = json.dumps(event).encode()

    if name in ("event_type", "event_id", "app_id"):
        assert refusal(decoder, body).faults == (FieldFault(f"/{name}", "is missing"),)
    else:
        assert decoder.decode(body, {}).event_id == event["event_id"]
