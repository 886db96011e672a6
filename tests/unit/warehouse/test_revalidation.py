"""Records without a correct checksum."""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.kit.decode import (
    DAMAGED,
    INVALID,
    NO_VALUE,
    UNKNOWN_SCHEMA,
    WRONG_TOPIC,
    InvalidRecordError,
    Refusal,
)
from consumers.warehouse.load.container import Format, format_of
from consumers.warehouse.load.schema_bindings import SchemaBindings
from runtime.kafka import record_headers, topics
from schemas.catalog import wire
from schemas.catalog.event_time import EVENT_MS_MAX, EVENT_MS_MIN
from tests.support.garbage import cyclic_garbage
from tests.support.warehouse import CATALOG, NOW_MS, SAMPLES, Message, body, crc, value

FORMATS = {release.wire_id: format_of(release) for release in CATALOG.releases}
BINDINGS = SchemaBindings(CATALOG)
GOOD = {name: value(body(name)) for name in SAMPLES}


def judge(
    data: bytes | None, topic: str = topics.EVENTS, headers: Any = None
) -> tuple[Format, bytes] | Refusal:
    """Return the result for a value."""
    return BINDINGS.check(topic, Message(data, topic, 3, 14, headers, b"app"))


def refusal(data: bytes | None, topic: str = topics.EVENTS, headers: Any = None) -> Refusal:
    """Return the refusal of a value that must be refused."""
    found = judge(data, topic, headers)
    assert isinstance(found, Refusal)
    return found


def encoded(name: str, **fields: Any) -> bytes:
    """Return a sample's value with changed Avro fields, including invalid ones."""
    release = CATALOG.newest(name)
    assert release is not None
    datum = BINDINGS.datum(FORMATS[release.wire_id], GOOD[name][wire.HEADER_BYTES :]) | fields
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, release.schema, datum)
    return wire.prefix(release.wire_id) + stream.getvalue()


@pytest.mark.parametrize("name", SAMPLES)
def test_right_value_becomes_the_same_row(name: str) -> None:
    """Encoded again, it equals ingest's value."""
    found = judge(GOOD[name])

    assert not isinstance(found, Refusal)
    assert found[0].prefix + found[1] == GOOD[name]


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_cut_value_is_never_a_row(name: str, data: st.DataObject) -> None:
    """Wherever it is truncated, the value is damaged."""
    good = GOOD[name]
    cut = good[: data.draw(st.integers(0, len(good) - 1))]

    assert refusal(cut).reason == DAMAGED


@given(st.sampled_from(sorted(SAMPLES)), st.binary(min_size=1, max_size=40))
def test_lengthened_value_is_never_a_row(name: str, rest: bytes) -> None:
    """Every byte must be consumed, because the engine's reader would skip the rest."""
    assert refusal(GOOD[name] + rest).reason == DAMAGED


@given(st.binary(max_size=200))
def test_random_bytes_never_raise(data: bytes) -> None:
    """Any bytes after any schema id are a valid row or a refusal, never an error."""
    for release in CATALOG.releases:
        found = judge(wire.prefix(release.wire_id) + data)
        if not isinstance(found, Refusal):
            assert BINDINGS.datum(*found)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_wrong_checksum_is_damage_even_if_it_decodes(name: str, data: st.DataObject) -> None:
    """A flipped bit inside a text decodes, but changes the data."""
    good = GOOD[name]
    place = data.draw(st.integers(0, len(good) - 1))
    flipped = good[:place] + bytes([good[place] ^ 1 << data.draw(st.integers(0, 7))]) + good[place + 1 :]

    assert refusal(flipped, headers=crc(good)).reason == DAMAGED


@pytest.mark.parametrize(
    ("data", "topic", "reason"),
    [
        (None, topics.EVENTS, NO_VALUE),
        (b"", topics.EVENTS, DAMAGED),
        (b"\x01" + GOOD["AppOpened"], topics.EVENTS, DAMAGED),
        (wire.prefix(9999) + b"x", topics.EVENTS, UNKNOWN_SCHEMA),
        (wire.prefix(CATALOG.quarantine.wire_id) + b"x", topics.EVENTS, WRONG_TOPIC),
        (encoded("AppOpened", event_id=""), topics.EVENTS, INVALID),
        (encoded("AppOpened", app_id=""), topics.EVENTS, INVALID),
        *(
            (encoded("AppOpened", **{name: "x" * 1025}), topics.EVENTS, INVALID)
            for name in ("event_id", "app_id", "device_id", "session_id")
        ),
        (encoded("AppOpened", event_type="CartViewed"), topics.EVENTS, INVALID),
        (encoded("AppOpened", timestamp=EVENT_MS_MIN - 1), topics.EVENTS, INVALID),
        (encoded("AppOpened", timestamp=EVENT_MS_MAX + 1), topics.EVENTS, INVALID),
        (encoded("AppOpened", received_at=1 << 62), topics.EVENTS, INVALID),
    ],
)
def test_reason_is_told(data: bytes | None, topic: str, reason: str) -> None:
    """Each kind of invalid record has its reason, and its bytes are kept unchanged."""
    found = refusal(data, topic)

    assert (found.reason, found.body, found.record) == (reason, data or b"", "tapcart.events/3/14")
    assert (found.app_id, found.received_at_ms) == ("app", NOW_MS)


def test_record_without_a_device_is_a_row() -> None:
    """Ids may be as long as ingest accepts, and the device may be missing."""
    data = encoded("AppOpened", device_id="", session_id="x" * 1024)
    found = judge(data)

    assert not isinstance(found, Refusal)
    assert BINDINGS.datum(*found)["device_id"] == ""


def test_key_and_headers_of_a_refused_record_are_cut() -> None:
    """They become app_id and event_id in the quarantine, which pages show."""
    found = BINDINGS.check(
        topics.EVENTS,
        Message(b"x", topics.EVENTS, 3, 14, [(record_headers.EVENT_ID, b"e" * 9999)], b"a" * 9999),
    )

    assert isinstance(found, Refusal)
    assert (found.app_id, found.event_id) == ("a" * 1024, "e" * 1024)


def test_times_in_blocks_are_checked_too() -> None:
    """A session start outside of DateTime64's range would be stored as another time."""
    release = CATALOG.newest("SessionStarted")
    assert release is not None
    datum = BINDINGS.datum(FORMATS[release.wire_id], GOOD["SessionStarted"][wire.HEADER_BYTES :])
    block = datum["session_properties"] | {"session_start_time": 1 << 60}

    assert refusal(encoded("SessionStarted", session_properties=block)).reason == INVALID


@pytest.mark.parametrize("data", [None, b"junk", GOOD["AppOpened"]])
def test_quarantine_record_that_is_damaged_becomes_its_row(data: bytes | None) -> None:
    """It is stored in the table at once and never sent back to its topic."""
    found = judge(data, topics.QUARANTINE)

    assert not isinstance(found, Refusal)
    row = BINDINGS.datum(*found)
    assert (row["body"], row["source"]) == (data or b"", "warehouse")
    assert row["record"] == "tapcart.quarantine/3/14"


def test_a_long_varint_is_encoded_again() -> None:
    """Avro decoders read more bytes than a number needs; ClickHouse gets the shortest form."""
    good = GOOD["AppOpened"][wire.HEADER_BYTES :]
    form = FORMATS[wire.wire_id_of(GOOD["AppOpened"]) or 0]
    assert good[0] < 0x80, "the length of event_type"

    assert BINDINGS.encoded_again(form, bytes([good[0] | 0x80, 0]) + good[1:]) == good
    with pytest.raises(InvalidRecordError, match="undecodable"):
        BINDINGS.encoded_again(form, good[:-5])


def test_right_checksum_tells_our_own_producers() -> None:
    """An unknown schema with a correct checksum: one of our producers is newer than this loader."""
    data = wire.prefix(9999) + b"x"

    assert refusal(data, headers=crc(data)).is_ours
    assert not refusal(data).is_ours


def test_engine_refusal_keeps_the_whole_value() -> None:
    """The prefix is restored, and readable fields are reported."""
    good = GOOD["CartViewed"]
    form = FORMATS[wire.wire_id_of(good) or 0]
    found = BINDINGS.refused(
        form, topics.EVENTS, (good[wire.HEADER_BYTES :], bytes([2, 6, 8, 10])), "Code: 469"
    )
    datum = BINDINGS.datum(form, good[wire.HEADER_BYTES :])

    assert dataclasses.asdict(found) == {
        "reason": "refused",
        "detail": "Code: 469",
        "body": good,
        "received_at_ms": NOW_MS,
        "record": "tapcart.events/3/4",
        "app_id": datum["app_id"],
        "event_id": datum["event_id"],
        "is_ours": False,
        "source": "warehouse",
        "traceparent": None,
    }


@pytest.mark.parametrize("damage", [lambda good: good[:-5], lambda good: good + b"x", lambda _: b"junk"])
def test_refusals_leave_no_cycles(damage: Callable[[bytes], bytes]) -> None:
    """The loader collects garbage rarely: cycles once held 500 MB of refused records."""
    records = [Message(damage(data), topics.EVENTS, 3, 14, None, b"app") for data in GOOD.values()]

    assert cyclic_garbage(lambda: [BINDINGS.check(topics.EVENTS, record) for record in records]) == 0
