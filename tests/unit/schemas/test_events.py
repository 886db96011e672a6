"""The values of an event: each in its column, converted to fit, or in `extra`."""

import json
from typing import Any

import pytest

from schemas.codec.events import EventDecoder
from tests.support.process import SAMPLES
from tests.unit.schemas.sample import APP_OPENED, block_of, body_of, record_of


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
    """Moments outside ClickHouse's range (1900 to 2299) do not fit either."""
    event = decoder.decode(body_of(**block_of(block, **{name: value})), {})
    record = record_of(event)

    assert record[block][name] is None
    assert record["extra"] == {f"{block}.{name}": value}
    assert (event.odd, event.unknown) == ((f"{block}.{name}",), ())
    assert record["device_properties"]["model"] == "iPhone15,2"


@pytest.mark.parametrize("value", ["text", 5, [1, {"a": None}], True, ""])
@pytest.mark.parametrize("block", ["metadata", "device_properties", "event_properties"])
def test_a_block_that_is_no_object_is_in_extra(decoder: EventDecoder, block: str, value: Any) -> None:
    """Its block is then one of nulls."""
    event = decoder.decode(body_of(**{block: value}), {})
    record = record_of(event)

    assert set(record[block].values()) == {None}
    assert record["extra"] == {block: value}
    assert event.odd == (block,)
    assert event.schema_id == "Event_AppOpened_5_0_0"


@pytest.mark.parametrize("value", [None, ..., {}])
@pytest.mark.parametrize("block", [name for name in APP_OPENED if isinstance(APP_OPENED[name], dict)])
def test_any_block_may_be_absent_null_or_empty(decoder: EventDecoder, block: str, value: Any) -> None:
    """A missing block is not odd: PurchaseCompleted has none of the four."""
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
    """Numbers and booleans in a list become texts; any other element moves the whole list to `extra`."""
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
    """Dots and percent signs in names are escaped; our own fields cannot be sent."""
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
    r"""`\ud83d` encodes no character: it becomes its six characters, in known and unknown fields."""
    event = decoder.decode(body_of(event_type=event_type, session_id="a\ud83d", new="\udc00\ud83d\ude00"), {})
    record = record_of(event)

    assert record["session_id"] == "a\\ud83d"
    assert record["extra"] == {"new": "\\udc00\U0001f600"}


def test_an_escaped_backslash_is_no_surrogate(decoder: EventDecoder) -> None:
    r"""`\\ud83d` is a backslash and five letters, also next to a lone surrogate."""
    record = record_of(decoder.decode(body_of(session_id="\\ud83d \\\ud83d"), {}))

    assert record["session_id"] == "\\ud83d \\\\ud83d"


def test_nul_characters_are_kept(decoder: EventDecoder) -> None:
    """Once escaped they are ordinary characters."""
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
    """The record keeps the schema id as sent."""
    event = decoder.decode(body_of(metadata={"schema_id": schema_id}), {})

    assert event.release.schema_id == "Event_AppOpened_5_0_0"
    assert record_of(event)["metadata"]["schema_id"] == schema_id
    assert event.schema_id == told


@pytest.mark.parametrize(
    "event_type", ["WishlistShared", "Unmodelled", "Quarantine", "Clickstream", "app_opened"]
)
def test_an_unknown_type_is_unmodelled(decoder: EventDecoder, event_type: str) -> None:
    """Envelope and blocks are typed as usual, event_properties are JSON text; our own names are not types."""
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
    """ClickHouse's JSON type accepts only objects."""
    body = body_of(event_type="New", event_properties="HERE").replace(b'"HERE"', value.encode())
    event = decoder.decode(body, {})

    assert record_of(event)["raw"] is None
    assert record_of(event)["extra"] == {"event_properties": json.loads(value)}
    assert event.odd == ("event_properties",)


@pytest.mark.parametrize(
    "value", ["1e400", '{"a": [-1e309]}', "[" * 64 + "]" * 64, "1" + "0" * 5000, '{"a.b": 1e999}']
)
def test_what_the_warehouse_refuses_is_in_extra_instead_of_raw(decoder: EventDecoder, value: str) -> None:
    """ClickHouse refuses rows whose JSON column has numbers beyond a double or deep nesting."""
    body = body_of(event_type="New", event_properties={"kept": 1, "x.%": "HERE"}).replace(
        b'"HERE"', value.encode()
    )
    event = decoder.decode(body, {})

    assert event.event.raw == '{"kept":1}'
    assert event.extra == b'{"event_properties.x%%2E%%25":%b}' % value.encode()
    assert event.odd == ("event_properties",)


@pytest.mark.parametrize("count", [31, 32])
def test_many_members_are_not_examined_one_by_one(decoder: EventDecoder, count: int) -> None:
    """One of them is refused: beyond a few members the whole object is in extra instead of raw."""
    numbers = "".join(f'"{number}":{number},' for number in range(count))
    value = f'{{{numbers}"huge":1e400}}'.encode()
    event = decoder.decode(body_of(event_type="New", event_properties="HERE").replace(b'"HERE"', value), {})

    assert (event.event.raw is None) == (count == 32)
    assert event.extra == (
        b'{"event_properties":%b}' % value if count == 32 else b'{"event_properties.huge":1e400}'
    )
    assert event.odd == ("event_properties",)


def test_raw_is_free_of_repeated_members(decoder: EventDecoder) -> None:
    """The last one counts here too."""
    body = body_of(event_type="New", event_properties="HERE").replace(b'"HERE"', b'{"a": 1, "b": 2, "a": 3}')

    assert record_of(decoder.decode(body, {}))["raw"] == '{"a":3,"b":2}'
