"""Kafka's values -> the lines and fields of the newest events."""

import io
import json
from typing import Any

import fastavro
import pytest

from consumers.kit.decode import fields_of, plain
from consumers.kit.erasures.erased_ids import DEVICE, ErasedIds, IdHashes
from consumers.kit.erasures.follower import NobodyErased
from consumers.kit.errors import TransientError
from consumers.live.newest import Arrival, Newest, event
from consumers.live.samples import Samples
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire import prefix
from schemas.codec.events import EventDecoder
from tests.support.process import SAMPLES

CURRENT = SchemaReloader()
DECODER = EventDecoder(CURRENT.catalog)


def value(name: str, **changes: Any) -> bytes:
    """Return the Kafka value of a sample."""
    body = json.loads((SAMPLES / f"{name}.json").read_text()) | changes
    return DECODER.decode(json.dumps(body).encode(), {}).encode(1_800_000_000_000)


def fields(name: str, **changes: Any) -> dict[str, Any]:
    """Return the page's fields of a sample."""
    shown = event(CURRENT.catalog, value(name, **changes), (3, 7), 5, None, ErasedIds())
    assert shown
    found: dict[str, Any] = json.loads(shown.fields)
    return found


def arrival(offset: int, at_ms: int) -> Arrival:
    """Return an arrival at an offset of partition 0."""
    return (0, offset), at_ms, value("AppOpened", event_id=str(offset)), None


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_every_type_can_be_read(path: Any) -> None:
    """Each sent field is shown by its path; null ones are left out."""
    sent = json.loads(path.read_text())
    found = fields(path.stem)
    expected = {
        f"event_properties.{n}" for n, v in sent["event_properties"].items() if v not in (None, "", [])
    }

    assert expected <= found.keys()
    assert None not in found.values()


def test_a_line_tells_what_where_and_of_which_device() -> None:
    """The key is the place in Kafka."""
    shown = event(CURRENT.catalog, value("AppOpened"), (3, 7), 5, None, ErasedIds())

    assert shown
    assert (shown.key, shown.event_type, shown.received_at_ms) == ("3-7", "AppOpened", 5)
    assert shown.device.endswith("…")


def test_devices_and_addresses_are_shortened() -> None:
    """In the blocks, and in fields unknown to the schema."""
    found = fields("AppOpened", customer={"email": "ann@example.org", "first_name": "Annabel"})
    device = json.loads((SAMPLES / "AppOpened.json").read_text())["device_id"]
    text = json.dumps(found)

    assert device not in text
    assert found["device_properties.ip"].endswith("…")
    assert found["extra.customer"] == {"email": "a…", "first_name": "A…"}


def test_an_unknown_type_shows_its_properties() -> None:
    """Its block is JSON text in Kafka, and fields on the page."""
    assert fields("AppOpened", event_type="Wish", event_properties={"n": 1})["event_properties.n"] == 1


@pytest.mark.parametrize(
    "broken", [b"", b"x", b"\0\0\0\0\x09", value("AppOpened")[:40], b"\0\xff\xff\xff\xffxx"]
)
def test_what_does_not_decode_is_passed_over(broken: bytes) -> None:
    """The loader will report it; the page continues."""
    assert event(CURRENT.catalog, broken, (0, 0), 1, None, ErasedIds()) is None


def foreign(**changes: Any) -> bytes:
    """Return another producer's value, with a content that ours never has."""
    release = CURRENT.catalog.newest("AppOpened")
    assert release
    datum = fields_of(release, value("AppOpened")) | changes
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, plain(release.text), datum)
    return prefix(release.wire_id) + stream.getvalue()


def test_a_lone_surrogate_of_another_producer_is_shown_as_its_escape() -> None:
    """No encoding can hold it: it once froze the page, and with it the metric for alerts."""
    extra = '{"cut": "\\ud83d", "device_id": "\\ud83d\\ud83d\\ud83d", "\\udfff": [{"\\udc00": 1e999}]}'
    poisoned = (0, 1), 1, foreign(extra=extra), None
    (shown,) = Newest(CURRENT, NobodyErased()).read([poisoned])
    found = json.loads(shown.fields)

    assert found["extra.cut"] == "\\ud83d"
    assert found["extra.\\udfff"] == [{"\\udc00": None}]


def test_a_record_that_cannot_be_shown_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """For any unexpected reason."""

    def fails(datum: dict[str, Any]) -> bytes:
        if datum["event_id"] == "1":
            raise ValueError("nobody thought of this")
        return b"{}"

    monkeypatch.setattr("consumers.live.newest._fields", fails)

    shown = Newest(CURRENT, NobodyErased()).read([arrival(1, 1), arrival(2, 2)])

    assert [one.key for one in shown] == ["0-2"]


def test_the_newest_come_first_and_memory_is_bounded() -> None:
    """However many arrive, only a few are read, and the oldest are dropped."""
    newest = Newest(CURRENT, NobodyErased())
    first = newest.read([arrival(offset, offset) for offset in range(100)])
    for start in range(100, 2000, 10):
        last = newest.read([arrival(offset, offset) for offset in range(start, start + 10)])

    assert [one.received_at_ms for one in first] == list(range(99, 84, -1))
    assert last[0].received_at_ms == 1999
    assert len(last) == 1000
    assert newest.read([]) == last


class _Erasures:
    """Somebody is erased from a moment on, or it is unknown who is."""

    def __init__(self) -> None:
        self.erased = ErasedIds(IdHashes(b"k" * 32))
        self.is_known = True

    def current(self) -> ErasedIds:
        """Do what `Erasures` says."""
        if not self.is_known:
            raise TransientError("no answer")
        return self.erased


def test_nobody_erased_is_shown() -> None:
    """Nor is anything from before an erasure, because redacted events do not tell whose they are."""
    erasures, hashes = _Erasures(), IdHashes(b"k" * 32)
    newest = Newest(CURRENT, erasures)
    mine = (0, 5), 5, value("AppOpened", event_id="5", note={"of": "device-of-somebody"}), None
    shown = newest.read([mine, arrival(6, 6)])
    erasures.erased.add(hashes.tombstone(DEVICE, "device-of-somebody", 1_900_000_000_000, ""))
    after = newest.read([])
    again = newest.read([mine, arrival(7, 7)])
    erasures.is_known = False

    assert [one.key for one in shown] == ["0-6", "0-5"]
    assert after == ()
    assert [one.key for one in again] == ["0-7"]
    assert newest.read([arrival(8, 8)]) == ()


def test_a_body_that_the_loader_refused_is_shown_decoded() -> None:
    """It is a Kafka value; an undecodable one is shown as bytes."""
    samples = Samples(CURRENT)

    assert '"event_type": "AppOpened"' in samples.text(value("AppOpened"), "warehouse")
    assert samples.text(b"\0\0", "warehouse") == "2 undecodable bytes, starting with 00 00"
    assert samples.text(b'{"ip":"203.0.113.7"', "ingest") == '{"ip":"2…"'
