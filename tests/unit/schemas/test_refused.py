"""Bodies that are not events: the reason for the sender, and their quarantine record."""

import json
from typing import Any

import pytest

from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.codec.events import EventDecoder, FieldFault, NotJson, encode_quarantine
from tests.unit.schemas import avro
from tests.unit.schemas.sample import APP_OPENED, body_of, record_of, refusal


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is not JSON"),
        (b"garbage", "the body is not JSON"),
        (body_of()[:-1], "truncated"),
        (body_of()[: len(body_of()) // 2], "the body is not JSON"),
        (b"[1", "truncated"),
        (body_of() + b"x", "trailing characters"),
        (body_of() + body_of(), "trailing characters"),
        (body_of().replace(b'"iOS"', b"NaN"), "the body is not JSON"),
        (body_of().replace(b'"iOS"', b'"i\x00OS"'), "the body is not JSON"),
        (body_of().replace(b"iOS", b"i\xffS"), "not UTF-8: byte"),
        (body_of(new="iOS-new").replace(b"iOS-new", b"\xed\xa0\xbd"), "not UTF-8: byte"),
        (body_of(new=1).replace(b'"new"', b'"n\xffw"'), "not UTF-8: byte"),
        (b"\xef\xbb\xbf" + body_of(), "the body is not JSON"),
        (body_of().decode().encode("utf-16"), "not UTF-8: byte"),
    ],
)
def test_what_is_no_json_text_is_refused(decoder: EventDecoder, body: bytes, detail: str) -> None:
    """Damage anywhere is reported, even within unknown fields."""
    with pytest.raises(NotJson) as caught:
        decoder.decode(body, {})

    assert detail in caught.value.detail


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"[]", "must be a JSON object, not an array"),
        (b"[" + body_of() + b"]", "must be a JSON object, not an array"),
        (b" 5", "must be a JSON object, not a number"),
        (b'"AppOpened"', "must be a JSON object, not a string"),
        (b"null", "must be a JSON object, not null"),
        (b"true", "must be a JSON object, not a boolean"),
        (b"[" * 501 + b"]" * 501, "must not nest deeper than 500 levels"),
        (b"[" * 1_000_000, "must not nest deeper than 500 levels"),
        (body_of(new=0)[:-2] + b"[" * 500 + b"]" * 500 + b"}", "must not nest deeper than 500 levels"),
    ],
)
def test_what_is_no_object_is_refused_as_a_whole(decoder: EventDecoder, body: bytes, detail: str) -> None:
    """The fault's pointer is that of the whole body."""
    assert refusal(decoder, body).faults == (FieldFault("", detail),)


def test_nesting_up_to_the_bound_is_kept(decoder: EventDecoder) -> None:
    """500 levels are allowed; brackets within strings do not count."""
    deep = "[" * 499 + '"[[[[\\"["' + "]" * 499
    event = decoder.decode(body_of(new=0)[:-2] + deep.encode() + b"}", {})

    assert record_of(event)["extra"]["new"] == json.loads(deep)


@pytest.mark.parametrize("name", ["event_type", "event_id", "app_id"])
@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (..., "is missing"),
        ("", "must not be empty"),
        (None, "must be a string, not null"),
        (5, "must be a string, not a number"),
        (["a"], "must be a string, not an array"),
        ({"a": 1}, "must be a string, not an object"),
        (True, "must be a string, not a boolean"),
    ],
)
def test_required_texts_are_strict(decoder: EventDecoder, name: str, value: Any, detail: str) -> None:
    """Each must be a non-empty string; the refusal holds the other ones."""
    error = refusal(decoder, body_of(**{name: value}))

    assert error.faults == (FieldFault(f"/{name}", detail),)
    assert getattr(error, name, None) is None
    assert error.app_id == (None if name == "app_id" else "a7Kq2mXw9L")
    assert error.event_id == (None if name == "event_id" else APP_OPENED["event_id"])
    assert error.event_type == (None if name == "event_type" else "AppOpened")


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("null", "null"),
        ('"soon"', "a string"),
        ('"2025-10-09T05:00:05Z"', "a string"),
        ("1760011205031.5", "1760011205031.5"),
        ("1.76e-12", "1.76e-12"),
        ("9223372036854775808", "9223372036854775808"),
        ("1e99", "1e99"),
        ("1e999999999", "1e999999999"),
        ("1" * 100, "1" * 40),
        ("true", "a boolean"),
        ("[]", "an array"),
    ],
)
def test_an_event_without_a_time_is_refused(decoder: EventDecoder, value: str, got: str) -> None:
    """Neither `timestamp` nor `timestamp_iso` has a time."""
    body = body_of(timestamp_iso=...).replace(b"1760011205031", value.encode())

    assert refusal(decoder, body).faults == (
        FieldFault(
            "/timestamp",
            f"must be milliseconds since 1970-01-01T00:00:00Z, not {got}, and timestamp_iso is not a time",
        ),
    )


@pytest.mark.parametrize(
    "iso", [..., None, "", "soon", "2025-10-09", "2025-W41-4", "2025-13-09T05:00:00Z", 5, ["2025"], "9" * 99]
)
def test_a_missing_timestamp_is_a_fault(decoder: EventDecoder, iso: Any) -> None:
    """Unless `timestamp_iso` is a date and a time of day."""
    assert refusal(decoder, body_of(timestamp=..., timestamp_iso=iso)).faults == (
        FieldFault("/timestamp", "is missing, and timestamp_iso is not a time"),
    )


@pytest.mark.parametrize("timestamp", [-(2**63), -1, 0, 2**63 - 1])
def test_every_time_of_64_bits_is_read(decoder: EventDecoder, timestamp: int) -> None:
    """Plausibility of times is not checked here."""
    assert decoder.decode(body_of(timestamp=timestamp), {}).timestamp_ms == timestamp


def test_all_faults_are_told_at_once(decoder: EventDecoder) -> None:
    """One answer lists all faults."""
    pointers = [fault.pointer for fault in refusal(decoder, b"{}").faults]

    assert pointers == ["/event_type", "/event_id", "/app_id", "/timestamp"]


def test_a_quarantine_record_holds_the_body_verbatim(catalog: Catalog) -> None:
    """For any bytes and any accompanying texts."""
    value = encode_quarantine(
        catalog,
        received_at_ms=5,
        app_id=None,
        event_id="a\udc80",
        reason="not_json",
        detail="the body is not JSON",
        pointer=None,
        source="ingest",
        record=None,
        body=bytes(range(256)),
        allowed_app_ids="app1|app2",
        content_encoding="br",
    )

    assert wire.wire_id_of(value) == catalog.quarantine.wire_id
    assert avro.read(catalog.quarantine, value) == {
        "received_at": 5,
        "app_id": None,
        "event_id": "a\\udc80",
        "reason": "not_json",
        "detail": "the body is not JSON",
        "pointer": None,
        "source": "ingest",
        "record": None,
        "body": bytes(range(256)),
        "allowed_app_ids": "app1|app2",
        "content_encoding": "br",
        "traceparent": None,
    }
