"""Keys and headers of others' records become texts that fit an id."""

from typing import TYPE_CHECKING, cast

import pytest

from consumers.kit.decode import (
    InvalidRecordError,
    Refusal,
    encode_refusal,
    fields_of,
    refusal_of,
    text,
)
from runtime.kafka import record_headers, topics
from schemas.catalog.event_time import SHOWN_MS_MAX
from schemas.catalog.schema_model import ID_BYTES_MAX
from schemas.catalog.wire import checksum
from tests.support.warehouse import CATALOG, NOW_MS, Message, body, value

if TYPE_CHECKING:
    from consumers.kit.record import Record


@pytest.mark.parametrize(
    "given", [b"\xff" * 2000, b"a" * 2000, b"a" * 1023 + "é".encode(), "é".encode() * 600]
)
def test_a_key_fits_an_id(given: bytes) -> None:
    """Else the quarantine's own record would be invalid: a byte that is not UTF-8 grows to three."""
    found = text(given)

    assert found
    assert len(found.encode()) <= ID_BYTES_MAX


def test_a_short_key_stays_as_it_is() -> None:
    """An empty one is none."""
    assert [text(given) for given in (b"app", "é".encode(), b"", None)] == ["app", "é", None, None]


_OWN = b"\x00\x00\x00\x00\x07"  # how the value would start with our own id
_VALUE = b"\x00\x00\x00\x03\xe7body"


def refusal(*headers: tuple[str, bytes | None], at_ms: int = NOW_MS) -> Refusal:
    """Return the quarantine entry of a record with these headers."""
    record = cast("Record", Message(_VALUE, partition_=3, offset_=4, headers_=[*headers], at_ms=at_ms))
    return refusal_of(InvalidRecordError("unknown_schema", "why"), topics.EVENTS, record)


def test_only_our_own_producers_say_which_schema_a_value_has() -> None:
    """Another's header could make the loader read a body by a schema of the sender's choice."""
    ours = refusal((record_headers.CRC32, checksum(_VALUE)), (record_headers.SCHEMA_REGISTRY, _OWN))
    others = refusal((record_headers.CRC32, b"...."), (record_headers.SCHEMA_REGISTRY, _OWN))

    assert (ours.is_ours, ours.body) == (True, _OWN + b"body")
    assert (others.is_ours, others.body) == (False, _VALUE)
    assert refusal((record_headers.SCHEMA_REGISTRY, _OWN)).body == _VALUE


def test_a_refusal_keeps_its_trace() -> None:
    """If it is one: another producer may have written anything."""
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    assert refusal((record_headers.TRACEPARENT, trace)).traceparent == trace
    assert refusal((record_headers.TRACEPARENT, trace + b" ")).traceparent is None


def test_the_app_of_a_refusal_is_that_of_its_key() -> None:
    """Without the device that INGEST_KEY may add."""
    record = cast("Record", Message(_VALUE, key_=b"shop\0d-1"))

    assert refusal_of(InvalidRecordError("unknown_schema", "why"), topics.EVENTS, record).app_id == "shop"


@pytest.mark.parametrize("own", [b"", b"\xbc\x97(\x9cX", b"\x00\x07"])
def test_a_header_that_is_no_schema_id_leaves_the_body_as_it_came(own: bytes) -> None:
    """Once its bytes replaced the first five of the value, so the quarantine had a body that nobody sent."""
    kept = refusal((record_headers.CRC32, checksum(_VALUE)), (record_headers.SCHEMA_REGISTRY, own))

    assert (kept.is_ours, kept.body) == (True, _VALUE)


def test_a_refusal_is_kept_with_all_that_is_known() -> None:
    """Of the record and its event."""
    entry = refusal((record_headers.EVENT_ID, b"one"))
    kept = fields_of(CATALOG.quarantine, encode_refusal(CATALOG, entry))

    assert {name: value for name, value in kept.items() if value is not None} == {
        "received_at": NOW_MS, "app_id": "app", "event_id": "one", "reason": "unknown_schema",
        "detail": "why", "source": "warehouse", "record": "tapcart.events/3/4", "body": _VALUE,
    }  # fmt: skip
    assert [refusal(at_ms=at).received_at_ms for at in (-1, 0, 1 << 62)] == [0, 0, SHOWN_MS_MAX]


def test_times_are_milliseconds() -> None:
    """A datetime would end at the year 9999; a time in a block is one too."""
    release = CATALOG.newest("AppOpened")
    assert release

    assert fields_of(release, value(body()))["received_at"] == NOW_MS
