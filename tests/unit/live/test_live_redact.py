"""Personal data never reaches the page in full."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.live.redact import body_shortened, text_shortened, value_shortened

PERSONAL = [
    "device_id", "deviceId", "ip", "ip_address", "email", "customerEmail", "phone", "phone_number",
    "shipping_address", "address1", "street", "first_name", "lastName", "name", "customer_name",
    "purchase_zip", "postal_code", "latitude", "shopify_user_id", "purchase_shopify_user_id", "push_token",
    "birthday",
]  # fmt: skip
PLAIN = [
    "product_title", "variant_name", "collection_title", "device_model", "app_id", "event_id", "os", "locale",
    "currency_code", "timestamp_iso", "checkout_id", "purchase_city", "description", "tapcart_build",
]  # fmt: skip
WHOLE = "Annabel-Lee-1849"
TEXT = st.text(st.characters())  # including lone surrogates, which JSON escapes can express
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", PERSONAL)
def test_a_personal_field_keeps_its_beginning(name: str) -> None:
    """Enough to tell two apart, too little to identify anyone; also below another field's name."""
    assert value_shortened(name, WHOLE) in {"A…", "Anna…"}
    assert WHOLE not in json.dumps(value_shortened("extra", {"a": [{name: WHOLE}]}))
    assert WHOLE not in json.dumps(value_shortened(name, {"anything": [WHOLE]}))


@pytest.mark.parametrize("name", PLAIN)
def test_another_field_is_shown_whole(name: str) -> None:
    """Analysts need the event's data."""
    assert value_shortened(name, WHOLE) == WHOLE


@pytest.mark.parametrize("short", ["Al", "A", "a@b.c", "Anna"])
def test_never_more_than_half_is_kept(short: str) -> None:
    """A short name is as personal as a long one."""
    for name in ("user_id", "first_name"):
        assert len(value_shortened(name, short)) <= len(short) // 2 + 1


@pytest.mark.parametrize(
    "text", ["ann.lee@example.org", "203.0.113.77", "2001:db8:85a3::8a2e:370:7334", "+49 (30) 901820-11"]
)
def test_addresses_are_found_in_any_text(text: str) -> None:
    """For any field name."""
    assert text not in text_shortened(f"sent to {text}, again")


@pytest.mark.parametrize("text", ["12:03:05", "1.2.3", "2023-08-15T11:51:06.000-07:00", "50.0", "Ridge 20L"])
def test_times_versions_and_titles_are_no_addresses(text: str) -> None:
    """They stay as they are."""
    assert text_shortened(text) == text


def test_a_body_that_is_no_json_is_shortened_all_the_same() -> None:
    """Truncated transfers are the most frequent in the quarantine."""
    person = b'{"first_name":"Annabel","phone":5551234567}'
    text = body_shortened(b'{"device_id":"6E1B7C52-0D2F","customer":%b,"email":"ann@exam' % person)

    for whole in ("6E1B7C52-0D2F", "Annabel", "5551234567", "ann@exam"):
        assert whole not in text
    assert text.startswith('{"device_id":"6E1B…"')


def test_a_body_of_json_is_laid_out() -> None:
    """One member per line."""
    assert body_shortened(b'{"os":"iOS","n":[1]}') == '{\n  "os": "iOS",\n  "n": [\n    1\n  ]\n}'


@given(JSON)
def test_any_value_can_be_shown(value: Any) -> None:
    """Nothing raises or grows without limit, and the result can be encoded."""
    msgspec.json.encode(value_shortened("extra", value))
    body_shortened(json.dumps(value).encode()).encode()


@given(st.binary(max_size=300))
def test_any_bytes_can_be_shown(body: bytes) -> None:
    """A body may be anything."""
    body_shortened(body)


def test_what_is_endless_is_cut() -> None:
    """The page has no room for a megabyte, or for a thousand levels."""
    nested: Any = "x"
    for _ in range(100):
        nested = {"a": nested}

    assert len(json.dumps(value_shortened("extra", nested))) < 500
    assert len(text_shortened("x" * 10_000)) < 1_000
    assert len(value_shortened("extra", list(range(10_000)))) <= 200
