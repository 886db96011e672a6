"""A consumer's filter and the events it returns."""

import json
from typing import Any

import msgspec
import pytest

from consumers.kit import types
from consumers.kit.decode import fields_of
from consumers.kit.event_filter import event_filter, typed
from consumers.kit.types import class_of
from runtime.environment import SettingsError
from runtime.kafka import record_headers
from schemas.catalog.wire_ids import release_of
from tests.support.warehouse import CATALOG, SAMPLES, Headers, Message, body, decoded, value


def datum(event: bytes) -> tuple[Any, dict[str, Any]]:
    """Return the release and the fields of an event's value."""
    data = value(event)
    release = release_of(CATALOG, data, None)
    assert release
    return release, fields_of(release, data)


def without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with null for "" and [], which a row cannot distinguish."""
    return {
        name: without_empty(value) if isinstance(value, dict) else None if value in ("", []) else value
        for name, value in fields.items()
    }


def named(event_type: str) -> Headers:
    """Return the headers of an event of this type."""
    return [(record_headers.EVENT_TYPE, event_type.encode())]


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_sample_becomes_its_class(name: str) -> None:
    """Field by field, even with missing fields."""
    release, fields = datum(SAMPLES[name])
    event = event_filter(CATALOG, [getattr(types, name)], None).event(release, fields)

    assert msgspec.to_builtins(event) == fields
    assert type(event) is getattr(types, name)


def test_fields_of_later_releases_are_left_out() -> None:
    """A class is built once; events of newer and older releases fit it."""
    release, fields = datum(SAMPLES["AddedToCart"])
    fields["event_properties"]["of_later"] = "x"
    del fields["event_properties"]["product_title"]
    event = msgspec.convert(fields, class_of(release))

    assert event.event_properties.product_title is None


def test_records_of_other_types_and_apps_are_passed_unseen() -> None:
    """By header and key; a record without them is decoded."""
    asked = event_filter(CATALOG, ["AppOpened"], "app")

    assert asked.admits(Message(b"", headers_=named("AppOpened"), key_=b"app"))
    assert asked.admits(Message(b"", headers_=named("AppOpened"), key_=b"app\0d-1"))
    assert asked.admits(Message(b"", headers_=None, key_=None))
    assert not asked.admits(Message(b"", headers_=named("AppOpened"), key_=b"other"))
    assert not asked.admits(Message(b"", headers_=named("AppOpened"), key_=b"other\0app"))
    assert not asked.admits(Message(b"", headers_=named("CartViewed"), key_=b"app"))
    assert event_filter(CATALOG, ["Unmodelled"], None).admits(Message(b"", headers_=named("Wished")))


def test_what_header_or_key_hide_is_found_in_the_value() -> None:
    """Another producer may write records without headers."""
    release, fields = datum(SAMPLES["AppOpened"])

    assert event_filter(CATALOG, ["CartViewed"], None).event(release, fields) is None
    assert event_filter(CATALOG, None, "other").event(release, fields) is None
    assert event_filter(CATALOG, ["AppOpened"], fields["app_id"]).event(release, fields) is fields


def test_an_unknown_type_is_told_with_the_known_ones() -> None:
    """By name or by class; importing its class fails too."""
    with pytest.raises(SettingsError, match="no event type Nope; there are AddedToCart, AppInstalled"):
        event_filter(CATALOG, ["Nope", "AppOpened"], None)
    with pytest.raises(AttributeError, match="no event type Nope; there are AddedToCart"):
        _ = types.Nope


def test_an_event_from_before_its_schema_is_read_by_it() -> None:
    """Like `replay --untyped`; a type that still has no schema stays untyped."""
    given = json.loads(body("AppOpened", app_id="app", event_id="one"))
    untyped = decoded(json.dumps(given | {"event_type": "Wished"}).encode())
    data = untyped.encode(5)
    release = untyped.release
    fields = fields_of(release, data)
    assert typed(CATALOG, release, fields) == (release, fields)
    now, read = typed(CATALOG, release, fields | {"event_type": "AppOpened"})

    expected = fields_of(now, decoded(json.dumps(given).encode()).encode(5))
    assert now.name == "AppOpened"
    assert read == without_empty(expected)
