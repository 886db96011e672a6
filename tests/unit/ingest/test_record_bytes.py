"""The maximum size of a body's record, from which the producer's limit follows."""

from itertools import islice, product

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest.http.receive import Receiver
from ingest.settings import Settings
from runtime.kafka import topics
from schemas.catalog.catalog import Catalog
from tests.support.process import SAMPLES
from tests.unit.schemas.bodies import events

_RECEIVER = Receiver(Catalog.load())
_NOW_MS = 1_800_000_000_000
_GROWTH_MAX, _MORE = 5, 64 * 1024  # a body of n bytes becomes a value of at most 5 n + 64 KiB


def growing(size: int, block: str = "device_properties") -> bytes:
    """Return an event of this size with the largest record that we know.

    Unknown fields are kept under their path: the block's name, with `.` and `%` escaped.
    """
    event = msgspec.json.decode((SAMPLES / "AppOpened.json").read_bytes())
    names = ("".join(name) for name in product(".%", repeat=20))
    event[block] = dict.fromkeys(islice(names, (size - 3000) // 25), 0)
    event["padding"] = ""
    event["padding"] = "x" * (size - len(msgspec.json.encode(event)))
    return msgspec.json.encode(event)


def value_bytes(body: bytes) -> int:
    """Return the size of the record's value."""
    return len(_RECEIVER.receive(body, {}, _NOW_MS).record.value)


@given(events() | st.binary(max_size=300))
def test_no_body_grows_beyond_the_bound(body: bytes) -> None:
    """For any event, odd or unknown, and for bodies that are not JSON."""
    assert value_bytes(body) <= _GROWTH_MAX * len(body) + _MORE


def test_the_body_that_grows_most_is_within_the_bound() -> None:
    """More than three times as large, but less than five times."""
    body = growing(200_000)

    assert len(body) == 200_000
    assert 3 * len(body) < value_bytes(body) <= _GROWTH_MAX * len(body) + _MORE


def test_the_producer_takes_the_record_of_the_largest_body_that_may_be_set() -> None:
    """And the record that quarantines it."""
    (most,) = (
        constraint.le
        for constraint in Settings.model_fields["body_bytes_max"].metadata
        if hasattr(constraint, "le")
    )

    assert _GROWTH_MAX * most + 2 * _MORE <= topics.RECORD_BYTES_MAX
