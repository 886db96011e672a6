"""The headers of our records: their order, and how each reader finds the checksum."""

import pytest

from runtime.kafka import record_headers
from runtime.kafka.record_headers import CRC32, SCHEMA_REGISTRY, RecordHeaders

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"  # the specification's own example
CRC, OWN = b"\x01\x02\x03\x04", b"\0\0\0\0\x07"


def test_the_headers_are_the_public_contracts_in_its_order() -> None:
    """The checksum is the last of them, or stands before the registry's."""
    headers = RecordHeaders("Event_AppOpened_5_0_0", 17, CRC, "AppOpened", "e-1")

    assert headers.pairs() == [
        ("schema_id", b"Event_AppOpened_5_0_0"),
        ("event_type", b"AppOpened"),
        ("event_id", b"e-1"),
        ("received_at_ms", b"17"),
        ("crc32", CRC),
    ]
    assert RecordHeaders("s", 17, CRC, own_prefix=OWN).pairs() == [
        ("schema_id", b"s"),
        ("received_at_ms", b"17"),
        ("crc32", CRC),
        ("schema_registry", OWN),
    ]


def test_a_trace_stands_before_the_checksum() -> None:
    """Without one, there is no header."""
    headers = RecordHeaders("s", 17, CRC, own_prefix=OWN, traceparent=TRACE)

    assert [name for name, _ in headers.pairs()] == [
        "schema_id",
        "received_at_ms",
        "traceparent",
        "crc32",
        "schema_registry",
    ]
    assert record_headers.get(headers.pairs(), record_headers.TRACEPARENT) == TRACE
    assert "traceparent" not in dict(RecordHeaders("s", 17, CRC, own_prefix=OWN).pairs())


@pytest.mark.parametrize(
    "given",
    [
        None,
        b"",
        TRACE[:-1],
        TRACE + b"0",
        TRACE + b"\n",
        b"01" + TRACE[2:],
        b"ff" + TRACE[2:],
        TRACE.upper(),
        TRACE.replace(b"-", b"_"),
        TRACE + b"," + TRACE,
        b"00-" + b"0" * 32 + TRACE[35:],
        TRACE[:36] + b"0" * 16 + TRACE[52:],
    ],
    ids=str,
)
def test_only_a_traceparent_of_version_00_is_one(given: bytes | None) -> None:
    """Of 55 characters: hexadecimal in lower case, no id all zeros; else it is ignored."""
    assert record_headers.sound_traceparent(TRACE) == TRACE
    assert len(TRACE) == 55
    assert record_headers.sound_traceparent(given) is None


@pytest.mark.parametrize("own_prefix", [None, OWN])
def test_the_loader_finds_in_ours_what_was_written(own_prefix: bytes | None) -> None:
    """With and without a registry."""
    pairs = [*RecordHeaders("s", 17, CRC, "AppOpened", None, own_prefix).pairs()]

    assert record_headers.crc32_and_own_prefix(pairs) == (CRC, own_prefix)


def test_headers_of_others_are_found_wherever_they_stand() -> None:
    """Another producer has its own order, or none of our headers."""
    find = record_headers.crc32_and_own_prefix

    assert find(None) == find([]) == find([("x", b"y")]) == (None, None)
    assert find([(CRC32, CRC), ("x", None)]) == (CRC, None)
    assert find([(SCHEMA_REGISTRY, OWN), (CRC32, CRC), ("x", None)]) == (CRC, OWN)
    # Once such a record was loaded by its value's id, and reconcile called it missing.
    assert find([(SCHEMA_REGISTRY, OWN), (CRC32, CRC)]) == (CRC, OWN)
    assert find([(CRC32, CRC), (SCHEMA_REGISTRY, OWN)]) == (CRC, OWN)
    assert record_headers.get([("x", b"1"), ("x", b"2")], "x") == b"2"
    assert record_headers.has([("x", None)], "x")
    assert not record_headers.has(None, "x")


@pytest.mark.parametrize("foreign", [b"", None, b"\xbc\x97(\x9cX", b"\0\7", b"\0\0\0\0\7\0"])
def test_another_producers_header_of_that_name_has_no_meaning(foreign: bytes | None) -> None:
    """Once the loader obeyed it only at times, and reconcile called the row missing."""
    headers = [(SCHEMA_REGISTRY, foreign), (CRC32, b"1234")]

    assert record_headers.crc32_and_own_prefix(headers) == (b"1234", None)
    assert record_headers.own_prefix(headers) is None
    assert record_headers.own_prefix([(SCHEMA_REGISTRY, b"\0\0\0\0\7")]) is None
