"""What becomes of each kind of body: decoded, bent to fit, or refused with reasons."""

import json
from typing import Any

import pytest

from schemas import wire
from schemas.catalog import Catalog
from schemas.events import Decoded, EventDecoder, Fault, Invalid, NotJson, encode_quarantine
from tests.process import SAMPLES
from tests.unit.schemas import avro

APP_OPENED = json.loads((SAMPLES / "AppOpened.json").read_bytes())


def body_of(**changes: Any) -> bytes:
    """Return AppOpened's sample with top-level members changed; Ellipsis removes one."""
    event = {name: value for name, value in (APP_OPENED | changes).items() if value is not ...}
    return json.dumps(event).encode()


def block_of(name: str, **changes: Any) -> dict[str, Any]:
    """Return a block of AppOpened's sample with members changed."""
    return {name: APP_OPENED[name] | changes}


def record_of(event: Decoded) -> dict[str, Any]:
    """Return the event's record as fastavro reads it, `extra` parsed."""
    record = avro.read(event.release, event.encode(1))
    return record | {"extra": json.loads(record["extra"] or "{}")}


def refusal(decoder: EventDecoder, body: bytes, **headers: str) -> Invalid:
    """Return why `body` is refused."""
    with pytest.raises(Invalid) as caught:
        decoder.decode(body, headers)
    return caught.value


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
    """Damage anywhere, also within what no schema knows, is told as such."""
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
    assert refusal(decoder, body).faults == (Fault("", detail),)


def test_nesting_up_to_the_bound_is_kept(decoder: EventDecoder) -> None:
    """500 levels, brackets within strings not counted, are no fault."""
    deep = "[" * 499 + '"[[[[\\"["' + "]" * 499
    event = decoder.decode(body_of(new=0)[:-2] + deep.encode() + b"}", {})

    assert record_of(event)["extra"]["new"] == json.loads(deep)


@pytest.mark.parametrize("name", ["event_type", "event_id", "app_id", "device_id"])
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
def test_guaranteed_texts_are_strict(decoder: EventDecoder, name: str, value: Any, detail: str) -> None:
    """Each must be a string that is not empty; the others are told with the refusal."""
    error = refusal(decoder, body_of(**{name: value}))

    assert error.faults == (Fault(f"/{name}", detail),)
    assert getattr(error, name, None) is None
    assert error.app_id == (None if name == "app_id" else "a7Kq2mXw9L")
    assert error.event_id == (None if name == "event_id" else APP_OPENED["event_id"])
    assert error.event_type == (None if name == "event_type" else "AppOpened")


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("null", "null"),
        ('"1760011205031"', "a string"),
        ("1760011205031.0", "1760011205031.0"),
        ("1.76e12", "1.76e12"),
        ("9223372036854775808", "9223372036854775808"),
        ("1" * 100, "1" * 40),
        ("[]", "an array"),
    ],
)
def test_the_timestamp_is_strict(decoder: EventDecoder, value: str, got: str) -> None:
    """It must be an integer of 64 bits."""
    error = refusal(decoder, body_of().replace(b"1760011205031", value.encode()))

    assert error.faults == (
        Fault("/timestamp", f"must be milliseconds since 1970-01-01T00:00:00Z, a JSON integer, not {got}"),
    )


def test_a_missing_timestamp_is_a_fault(decoder: EventDecoder) -> None:
    """It is one of the guaranteed fields."""
    assert refusal(decoder, body_of(timestamp=...)).faults == (Fault("/timestamp", "is missing"),)


@pytest.mark.parametrize("timestamp", [-(2**63), -1, 0, 2**63 - 1])
def test_every_time_of_64_bits_is_read(decoder: EventDecoder, timestamp: int) -> None:
    """Whether a time can be believed is not judged here."""
    assert decoder.decode(body_of(timestamp=timestamp), {}).timestamp_ms == timestamp


def test_all_faults_are_told_at_once(decoder: EventDecoder) -> None:
    """A sender need not mend one fault to learn of the next."""
    pointers = [fault.pointer for fault in refusal(decoder, b"{}").faults]

    assert pointers == ["/event_type", "/event_id", "/app_id", "/device_id", "/timestamp"]


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ("5", "5"),
        ("-0", "-0"),
        ("1.50", "1.50"),
        ("1e400", "1e400"),
        ("9" * 400, "9" * 400),
        ("true", "true"),
    ],
)
def test_a_number_where_text_is_expected_becomes_its_text(
    decoder: EventDecoder, literal: str, text: str
) -> None:
    """Verbatim: no digit is lost."""
    event = decoder.decode(body_of().replace(b'"iOS"', literal.encode()), {})

    assert record_of(event)["device_properties"]["os"] == text
    assert (event.odd, event.unknown, event.extra) == (("device_properties.os",), (), None)


@pytest.mark.parametrize(
    ("block", "name", "value"),
    [
        ("device_properties", "os", {"name": "iOS"}),
        ("device_properties", "os", ["iOS"]),
        ("device_properties", "wifi", "true"),
        ("device_properties", "wifi", 1),
        ("session_properties", "session_start_time", "1760011205000"),
        ("session_properties", "session_start_time", 1760011205000.0),
        ("session_properties", "session_start_time", 10_413_792_000_000),
        ("session_properties", "session_start_time", -2_208_988_800_001),
        ("session_properties", "session_start_time", True),
        ("metadata", "schema_id", ["Event_AppOpened_5_0_0"]),
    ],
)
def test_what_does_not_fit_is_null_and_in_extra(
    decoder: EventDecoder, block: str, name: str, value: Any
) -> None:
    """Moments beyond what ClickHouse can show (1900 to 2299) do not fit either."""
    event = decoder.decode(body_of(**block_of(block, **{name: value})), {})
    record = record_of(event)

    assert record[block][name] is None
    assert record["extra"] == {f"{block}.{name}": value}
    assert (event.odd, event.unknown) == ((f"{block}.{name}",), ())
    assert record["device_properties"]["model"] == "iPhone15,2"


@pytest.mark.parametrize("value", ["text", 5, [1, {"a": None}], True, ""])
@pytest.mark.parametrize("block", ["metadata", "device_properties", "event_properties"])
def test_a_block_that_is_no_object_is_in_extra(decoder: EventDecoder, block: str, value: Any) -> None:
    """The block is one of nulls then."""
    event = decoder.decode(body_of(**{block: value}), {})
    record = record_of(event)

    assert set(record[block].values()) == {None}
    assert record["extra"] == {block: value}
    assert event.odd == (block,)
    assert event.schema_id == "Event_AppOpened_5_0_0"


@pytest.mark.parametrize("value", [None, ..., {}])
@pytest.mark.parametrize("block", [name for name in APP_OPENED if isinstance(APP_OPENED[name], dict)])
def test_any_block_may_be_absent_null_or_empty(decoder: EventDecoder, block: str, value: Any) -> None:
    """That is no oddity: PurchaseCompleted has none of four."""
    event = decoder.decode(body_of(**{block: value}), {})

    assert set(record_of(event)[block].values()) == {None}
    assert (event.odd, event.unknown, event.extra) == ((), (), None)


@pytest.mark.parametrize(
    ("sent", "kept", "extra"),
    [
        ('["a", ""]', ["a", ""], {}),
        ("[]", [], {}),
        ('["a", 1.50, true]', ["a", "1.50", "true"], {}),
        ('["a", null]', None, ["a", None]),
        ('[{"id": 1}]', None, [{"id": 1}]),
        ('[["a"]]', None, [["a"]]),
        ('"a"', None, "a"),
        ("{}", None, {}),
    ],
)
def test_lists_hold_texts(decoder: EventDecoder, sent: str, kept: Any, extra: Any) -> None:
    """Numbers and booleans in a list become texts; any other element puts the whole list into `extra`."""
    sample = (SAMPLES / "CartViewed.json").read_text()
    event = json.loads(sample)
    event["event_properties"]["cart_discounted_items_list"] = "HERE"
    decoded = decoder.decode(json.dumps(event).replace('"HERE"', sent).encode(), {})
    record = record_of(decoded)

    path = "event_properties.cart_discounted_items_list"
    assert record["event_properties"]["cart_discounted_items_list"] == kept
    assert record["extra"] == ({path: extra} if kept is None else {})
    assert decoded.odd == (() if sent in ('["a", ""]', "[]") else (path,))


def test_unknown_fields_are_in_extra_under_their_paths(decoder: EventDecoder) -> None:
    """Names with dots and percent signs stay apart from paths; our own fields cannot be sent."""
    event = decoder.decode(
        body_of(**{"a.b": 1, "50%": None, "received_at": 5, "extra": "x", **block_of("metadata", new=[2])}),
        {},
    )

    assert record_of(event)["extra"] == {
        "a%2Eb": 1,
        "50%25": None,
        "received_at": 5,
        "extra": "x",
        "metadata.new": [2],
    }
    assert set(event.unknown) == {"a%2Eb", "50%25", "received_at", "extra", "metadata.new"}
    assert event.odd == ()


def test_extra_is_verbatim(decoder: EventDecoder) -> None:
    """Huge numbers and spellings of numbers survive."""
    body = body_of(new="HERE").replace(b'"HERE"', b"[1e400, 1.10, " + b"9" * 400 + b"]")

    assert decoder.decode(body, {}).extra == b'{"new":[1e400, 1.10, ' + b"9" * 400 + b"]}"


def test_the_last_of_repeated_members_counts(decoder: EventDecoder) -> None:
    """At the top, in blocks, for the event type, and for whole blocks; on both paths."""
    body = (
        body_of()[:-1] + b', "session_id": "last", "event_type": "AppOpened", "metadata": {"schema_id": "x"}}'
    )
    body = body.replace(b'"os": "iOS"', b'"os": "iOS", "os": "last"')
    fast = body_of()[:-1] + b', "session_id": "last"}'

    record = record_of(decoder.decode(body, {}))

    assert record["session_id"] == record["device_properties"]["os"] == "last"
    assert record["metadata"]["schema_id"] == "x"
    assert record["extra"] == {}
    assert record_of(decoder.decode(fast, {}))["session_id"] == "last"


@pytest.mark.parametrize("event_type", ["AppOpened", "WishlistShared"])
def test_a_lone_surrogate_is_kept_as_its_escape(decoder: EventDecoder, event_type: str) -> None:
    r"""`\ud83d` stands for no character: it becomes its six characters, in known and unknown fields alike."""
    event = decoder.decode(body_of(event_type=event_type, session_id="a\ud83d", new="\udc00\ud83d\ude00"), {})
    record = record_of(event)

    assert record["session_id"] == "a\\ud83d"
    assert record["extra"] == {"new": "\\udc00\U0001f600"}


def test_an_escaped_backslash_is_no_surrogate(decoder: EventDecoder) -> None:
    r"""`\\ud83d` is a backslash and five letters, next to a lone surrogate too."""
    record = record_of(decoder.decode(body_of(session_id="\\ud83d \\\ud83d"), {}))

    assert record["session_id"] == "\\ud83d \\\\ud83d"


def test_nul_characters_are_kept(decoder: EventDecoder) -> None:
    """They are characters like any other once they are escaped."""
    record = record_of(decoder.decode(body_of(session_id="\x00", event_id="a\x00"), {}))

    assert (record["session_id"], record["event_id"]) == ("\x00", "a\x00")


@pytest.mark.parametrize(
    ("schema_id", "told"),
    [
        ("Event_AppOpened_5_1_0",) * 2,
        ("Event_AppOpened_6_0_0",) * 2,
        ("Event_ProductViewed_5_0_0",) * 2,
        ("x",) * 2,
    ]
    + [(nothing, "Event_AppOpened_5_0_0") for nothing in (None, "")],
)
def test_an_unknown_version_is_read_by_the_newest(
    decoder: EventDecoder, schema_id: str | None, told: str
) -> None:
    """The record holds the schema id as it was sent."""
    event = decoder.decode(body_of(metadata={"schema_id": schema_id}), {})

    assert event.release.schema_id == "Event_AppOpened_5_0_0"
    assert record_of(event)["metadata"]["schema_id"] == schema_id
    assert event.schema_id == told


@pytest.mark.parametrize(
    "event_type", ["WishlistShared", "Unmodelled", "Quarantine", "Clickstream", "app_opened"]
)
def test_an_unknown_type_is_unmodelled(decoder: EventDecoder, event_type: str) -> None:
    """Envelope and blocks are typed as ever, event_properties are JSON text; our own names are no types."""
    event = decoder.decode(body_of(event_type=event_type), {})
    record = record_of(event)

    assert event.release.name == "Unmodelled"
    assert event.event_type == record["event_type"] == event_type
    assert record["device_properties"] == APP_OPENED["device_properties"]
    assert json.loads(record["raw"]) == APP_OPENED["event_properties"]
    assert (event.extra, event.odd, event.unknown) == (None, (), ())
    assert event.schema_id == "Event_AppOpened_5_0_0"


@pytest.mark.parametrize("value", ["[1]", '"text"', "5"])
def test_event_properties_of_an_unknown_type_that_are_no_object_are_in_extra(
    decoder: EventDecoder, value: str
) -> None:
    """ClickHouse's JSON type takes objects only."""
    body = body_of(event_type="New", event_properties="HERE").replace(b'"HERE"', value.encode())
    event = decoder.decode(body, {})

    assert record_of(event)["raw"] is None
    assert record_of(event)["extra"] == {"event_properties": json.loads(value)}
    assert event.odd == ("event_properties",)


@pytest.mark.parametrize(
    "value", ["1e400", '{"a": [-1e309]}', "[" * 64 + "]" * 64, "1" + "0" * 5000, '{"a.b": 1e999}']
)
def test_what_the_warehouse_refuses_is_in_extra_instead_of_raw(decoder: EventDecoder, value: str) -> None:
    """ClickHouse refuses rows with numbers beyond a double or deep nesting in a JSON column."""
    body = body_of(event_type="New", event_properties={"kept": 1, "x.%": "HERE"}).replace(
        b'"HERE"', value.encode()
    )
    event = decoder.decode(body, {})

    assert event.event.raw == '{"kept":1}'
    assert event.extra == b'{"event_properties.x%%2E%%25":%b}' % value.encode()
    assert event.odd == ("event_properties",)


def test_raw_is_free_of_repeated_members(decoder: EventDecoder) -> None:
    """The last one counts there as well."""
    body = body_of(event_type="New", event_properties="HERE").replace(b'"HERE"', b'{"a": 1, "b": 2, "a": 3}')

    assert record_of(decoder.decode(body, {}))["raw"] == '{"a":3,"b":2}'


CLICKSTREAM = {
    "event": "cartAdd",
    "data": {"a": [1.50]},
    "properties": {"os": "iOS"},
    "mp_metadata": {"mp_event_id": "id-1", "mp_session_id": "s-1"},
}
HEADERS = {"appid": "app-1", "deviceid": "d-1", "eventid": "id-1", "eventtype": "cartAdd"}


def test_a_clickstream_event_is_known_by_its_key(decoder: EventDecoder) -> None:
    """Its app and device are in headers, its id and session in mp_metadata, the rest is JSON text."""
    event = decoder.decode(json.dumps(CLICKSTREAM).encode(), HEADERS)
    record = record_of(event)

    assert event.release.name == "Clickstream"
    assert (event.app_id, event.event_id, event.event_type) == ("app-1", "id-1", "cartAdd")
    assert (event.schema_id, event.timestamp_ms) == ("Event_Clickstream_1_0_0", None)
    assert (record["device_id"], record["session_id"], record["extra"]) == ("d-1", "s-1", {})
    for name in ("data", "properties", "mp_metadata"):
        assert json.loads(record[name]) == CLICKSTREAM[name]


def test_clickstream_headers_that_say_something_else_are_kept(decoder: EventDecoder) -> None:
    """Whether they equal the body's fields is not documented; unknown fields are kept, too."""
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
    """The body's mp_event_id comes first, as its text."""
    event = decoder.decode(json.dumps(CLICKSTREAM | {"mp_metadata": mp_metadata}).encode(), HEADERS)

    assert event.event_id == event_id


def test_a_clickstream_event_needs_an_app_an_id_and_a_type(decoder: EventDecoder) -> None:
    """All faults are told at once, with what is known."""
    error = refusal(decoder, b'{"event": "", "mp_metadata": {}}', appid="")
    known = refusal(decoder, b'{"event": "cartAdd"}', appid="app-1")

    assert [fault.pointer for fault in error.faults] == ["/event", "/mp_metadata/mp_event_id", ""]
    assert (known.app_id, known.event_id, known.event_type) == ("app-1", None, "cartAdd")


def test_a_body_with_both_keys_is_no_clickstream_event(decoder: EventDecoder) -> None:
    """`event_type` decides."""
    event = decoder.decode(body_of(event="cartAdd"), {})

    assert event.release.name == "AppOpened"
    assert event.unknown == ("event",)


def test_a_quarantine_record_holds_the_body_verbatim(catalog: Catalog) -> None:
    """Whatever the bytes, and whatever texts came with them."""
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
    }
