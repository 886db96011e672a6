"""Bodies too expensive to read member by member: kept whole, and read later."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog
from schemas.codec import jsontext
from schemas.codec.events import EventDecoder
from schemas.codec.row_to_json import event_of
from tests.support.process import SAMPLES
from tests.unit.schemas import avro
from tests.unit.schemas.sample import APP_OPENED, body_of, record_of, refusal

MANY = {"a.b%": [0] * 2000, "c": 1}
_STRING = re.compile(rb'"(?:[^"\\]+|\\.)*+"?', re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)
_TEXTS = st.text(st.sampled_from('[]{}"\\ud83de'), max_size=20)
_JSON = st.recursive(
    _TEXTS | st.none(), lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner), max_leaves=40
)


@pytest.mark.parametrize("event_type", ["AppOpened", "Nobody"])
def test_a_heavy_body_is_kept_whole(decoder: EventDecoder, event_type: str) -> None:
    """Ids and times have their columns; the rest is one text, with the event's type as sent."""
    body = body_of(event_type=event_type, event_properties=MANY, session_id=17)
    event = decoder.decode(body, {})
    record = record_of(event)

    assert event.release.name == "Unmodelled"
    assert (event.event_type, event.unknown, event.odd) == (event_type, ("%",), ())
    assert record["extra"] == {"%": json.loads(body)}
    assert (record["device_id"], record["session_id"]) == (APP_OPENED["device_id"], "17")


def test_a_heavy_body_that_fits_its_schema_is_typed(decoder: EventDecoder) -> None:
    """The first pass accepts it, which is cheap for any number of elements."""
    cart = json.loads((SAMPLES / "CartViewed.json").read_bytes())
    cart["event_properties"]["cart_total_product_id_list"] = ["1"] * 1000
    event = decoder.decode(json.dumps(cart).encode(), {})

    assert jsontext.is_heavy(json.dumps(cart).encode())
    assert event.release.name == "CartViewed"
    assert event.unknown == ()


def test_what_nobody_waits_for_is_examined(catalog: Catalog, decoder: EventDecoder) -> None:
    """A heavy body's row becomes an event of its type."""
    body = body_of(new=list(range(1000)))
    kept = decoder.decode(body, {})
    record = avro.read(kept.release, kept.encode(1))
    columns = {name: value for name, value in record.items() if not isinstance(value, dict)}
    for name, block in record.items():
        columns |= (
            {f"{name}.{inner}": value for inner, value in block.items()} if isinstance(block, dict) else {}
        )
    fields = schema_model.fields(kept.release.schema)
    event = event_of(EventDecoder(catalog, is_bounded=False), fields, columns)

    assert kept.release.name == "Unmodelled"
    assert event.encode(1) == EventDecoder(catalog, is_bounded=False).decode(body, {}).encode(1)
    assert event.release.name == "AppOpened"


def test_a_heavy_body_is_refused_as_others_are(decoder: EventDecoder) -> None:
    """Its envelope is checked."""
    heavy: dict[str, Any] = {"event_properties": MANY}

    assert [fault.pointer for fault in refusal(decoder, body_of(event_id=..., **heavy)).faults] == [
        "/event_id"
    ]
    assert (
        refusal(decoder, json.dumps([1] * 1000).encode()).faults[0].detail.startswith("must be a JSON object")
    )
    clickstream = {"event": "click", "mp_metadata": {**MANY, "mp_event_id": "c1"}}
    event = decoder.decode(json.dumps(clickstream).encode(), {"appid": "shop"})
    assert (event.event_id, event.app_id, event.release.name) == ("c1", "shop", "Clickstream")
    assert json.loads(event.extra or b"") == {"%": clickstream}


@pytest.mark.parametrize("element", ["", "a", "x" * 63, "x" * 64, "\u00e9"])
@pytest.mark.parametrize("count", [16, 17, 200])
def test_a_long_list_is_encoded_as_a_short_one(decoder: EventDecoder, element: str, count: int) -> None:
    """An Avro reader finds any elements."""
    cart = json.loads((SAMPLES / "CartViewed.json").read_bytes())
    cart["event_properties"]["cart_total_product_id_list"] = ["b", *[element] * count]
    record = record_of(decoder.decode(json.dumps(cart).encode(), {}))

    assert record["event_properties"]["cart_total_product_id_list"] == ["b", *[element] * count]


@given(_JSON, st.integers(0, 12))
def test_depth_is_that_of_brackets_outside_strings(value: Any, levels: int) -> None:
    """It equals counting brackets one by one."""
    text = json.dumps(value).encode()
    depth = most = 0
    for byte in _STRING.sub(b"", text):
        depth += (byte in b"[{") - (byte in b"]}")
        most = max(most, depth)

    assert jsontext.is_deeper(text, levels) == (most > levels)


@given(
    st.lists(st.sampled_from([rb"\\", rb"\n", rb"\"", rb"\ud83d", rb"\uDE00", rb"\u00e9", b"ud83d", b"x"]))
)
def test_lone_surrogates_are_found_among_escapes(parts: list[bytes]) -> None:
    """It equals reading escape by escape."""
    text = b"".join(parts)
    expected = _ESCAPE.sub(lambda match: b"\\" + match[0] if match[1] else match[0], text)

    assert jsontext.without_lone_surrogates(text) == expected
