"""Tombstones -> the events that they stop."""

import json
from typing import Any

import pytest

from consumers.kit.erasures import words
from consumers.kit.erasures.erased_ids import DEVICE, RETRIED_MS, SESSION, SHOPPER, ErasedIds, IdHashes

HASHES = IdHashes(b"k" * 32)
AT_MS = 1_700_000_000_000
ID = "7120034455667"


def erased(kind: str = SHOPPER, text: str = ID, app_id: str = "") -> ErasedIds:
    """Return the tombstones of one id."""
    found = ErasedIds(HASHES)
    found.add(HASHES.tombstone(kind, text, AT_MS, app_id))
    return found


def event(**changes: Any) -> dict[str, Any]:
    """Return an event of nobody in particular, from before the erasure."""
    return {"app_id": "app", "device_id": "device-1", "timestamp": AT_MS, "received_at": AT_MS, **changes}


@pytest.mark.parametrize(
    "one", [ID, "gid://shopify/Customer/71", "Zoë-4242424\U0001f600 x", 'a"b\\c2345678.*x9']
)
def test_an_id_is_found_wherever_a_text_holds_it(one: str) -> None:
    """As a whole, in JSON with any escapes, in lists and blocks, in rejected bodies; not in longer words."""
    escaped = json.dumps(one)
    units = one.encode("utf-16-be")
    every = "".join(f"\\u{units[at : at + 2].hex().upper()}" for at in range(0, len(units), 2))
    texts = [
        one,
        escaped,
        json.dumps(one, ensure_ascii=False),
        escaped.replace("/", "\\/"),
        f'{{"note": "call\\n{escaped[1:-1]}, please"}}',
        f"https://shop/?a={one}&b=1",
        f'"{every}"',
    ]
    known = erased(text=one)

    assert [known.stops(event(extra=text)) for text in texts] == [True] * len(texts)
    assert known.stops(event(block={"tags": ["x", one]}))
    assert known.stops_body(f"\xff{escaped}".encode(), AT_MS, "app")
    for other in (f"9{one}", f"{one}-1", f"{one}0", one[:-1]):
        assert not known.stops(event(extra=other))
    assert not ErasedIds(HASHES).stops(event(extra=one))


def test_a_short_id_is_compared_with_its_columns_alone() -> None:
    """It would be found by chance elsewhere."""
    known = erased(DEVICE, "17")

    assert known.stops(event(device_id="17"))
    assert known.stops(event(device_properties={"device_id": "17"}))
    assert not known.stops(event(session_id="17"))
    assert not known.stops(event(extra="17"))
    assert not known.stops(event(device_id="0-17", device_properties=None))


def test_later_events_are_a_new_matter() -> None:
    """The event's own time counts and its time of receipt; a retry is received later."""
    known = erased(SESSION)

    assert known.stops(event(extra=ID, received_at=AT_MS + 86_400_000))
    assert known.stops(event(extra=ID, timestamp=AT_MS + 5))
    assert not known.stops(event(extra=ID, timestamp=AT_MS + 1, received_at=AT_MS + 1))
    without = {"app_id": "app", "extra": ID}
    assert known.stops({**without, "received_at": AT_MS + RETRIED_MS})
    assert not known.stops({**without, "received_at": AT_MS + RETRIED_MS + 1})


def test_a_tombstone_of_one_app_leaves_the_others() -> None:
    """An event of an unknown app counts to every app."""
    known = erased(app_id="app")

    assert known.stops(event(extra=ID))
    assert not known.stops(event(extra=ID, app_id="another"))
    assert known.stops_body(ID.encode(), AT_MS, "")
    known.add(HASHES.tombstone(SHOPPER, ID, AT_MS, ""))
    assert known.stops(event(extra=ID, app_id="another"))


def test_the_latest_tombstone_of_an_id_counts() -> None:
    """In whatever order they come."""
    known = erased()
    known.add(HASHES.tombstone(SHOPPER, ID, AT_MS - 10, ""))

    assert known.stops(event(extra=ID))
    assert known.newest_ms == AT_MS


def test_an_id_in_a_value_that_cannot_be_decoded() -> None:
    """Its length stands before it, and another text may follow at once."""
    one = "5f2a7c1e-0000-4000-8000-0123456789ab"
    value = b"\0\0\0\0\7" + b"".join(bytes((2 * len(text),)) + text.encode() for text in ("x" * 36, one, one))
    known = erased(DEVICE, one)

    assert known.stops_body(value, AT_MS, "")
    assert not erased(DEVICE, one[:-1]).stops_body(value, AT_MS, "")


def test_no_id_can_be_read_from_a_tombstone() -> None:
    """Nor from its key; another key makes another hash."""
    one = HASHES.tombstone(SHOPPER, ID, AT_MS, "")

    assert ID not in repr(one)
    assert one.digest != IdHashes(b"j" * 32).tombstone(SHOPPER, ID, AT_MS, "").digest
    assert HASHES.key_id != IdHashes(b"j" * 32).key_id


def test_the_words_of_an_id() -> None:
    """Too few characters in words: it is compared as a whole."""
    assert words.of_id("a@example.com") == ("a", "example", "com")
    assert words.of_id("日本語日本語日本語1") == ()
