"""Rules about personal data, applied to every shape that an event may have."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given

from schemas.catalog.catalog import Catalog
from schemas.codec import jsontext
from schemas.codec.events import EventDecoder
from schemas.codec.redaction import Redaction, RedactionRules, Rules
from tests.support.process import SAMPLES
from tests.unit.schemas.bodies import events
from tests.unit.schemas.sample import APP_OPENED, block_of, body_of, record_of
from tests.unit.schemas.test_clickstream import CLICKSTREAM, HEADERS
from tests.unit.schemas.test_unexamined import MANY

CATALOG = Catalog.load()
EVERY = EventDecoder(CATALOG)
KEY = b"k" * 32
SENT = [json.loads(path.read_bytes()) for path in sorted(SAMPLES.glob("*.json"))]
PLANTED = "planted-Zoë-42"  # no rule of the tests keeps more than its first 3 characters


def hashed(text: str) -> str:
    """Return the hash, computed by the standard library's other interface."""
    return "hmac:" + hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


def redaction(everywhere: Rules, by_event_type: Mapping[str, Rules] | None = None) -> Redaction:
    """Return compiled rules."""
    return Redaction(RedactionRules(everywhere, by_event_type or {}, KEY))


def decoder(everywhere: Rules, by_event_type: Mapping[str, Rules] | None = None) -> EventDecoder:
    """Return a decoder with rules, compiled once."""
    return _compiled(
        tuple(everywhere.items()),
        tuple((name, tuple(own.items())) for name, own in (by_event_type or {}).items()),
    )


@cache
def _compiled(everywhere: Any, by_event_type: Any) -> EventDecoder:
    own = {name: dict(rules) for name, rules in by_event_type}
    return EventDecoder(CATALOG, redaction=redaction(dict(everywhere), own))


def record(body: bytes, rules: Rules, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the record of an event under rules for all events."""
    return record_of(decoder(rules).decode(body, headers or {}))


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "::"),
        ("203.0.113.77, 10.1.2.3", "203"),
        ("203.0.113.77:443", "203"),
        ("94103-1234", "941"),
        ("Zoë", "Zoë"),
        ("1\x00.2.3.4", "1\x00."),
        ("9" * 500, "999"),
        ("", ""),
        (None, None),
    ],
)
def test_truncate_keeps_a_network_or_three_characters(text: str | None, after: str | None) -> None:
    """On the strict path, and member by member."""
    path = ("device_properties", "ip")
    for more in ({}, {"new": 1}):
        found = record(body_of(**block_of("device_properties", ip=text), **more), {path: "truncate"})

        assert found["device_properties"]["ip"] == after


def test_a_hash_is_keyed_and_stays() -> None:
    """A value has one hash, also when its number was sent as a number; a replay does not hash again."""
    rules: Rules = {("device_id",): "hash", ("device_properties", "device_id"): "hash"}
    once = record(body_of(device_id="17"), rules)
    again = record(body_of(device_id=once["device_id"]), rules)

    assert once["device_id"] == again["device_id"] == record(body_of(device_id=17), rules)["device_id"]
    assert once["device_id"] == hashed("17")
    assert once["device_properties"]["device_id"] == hashed(APP_OPENED["device_properties"]["device_id"])
    assert record(body_of(device_id=...), rules)["device_id"] == ""
    assert record(body_of(device_id="x" * 900), rules)["device_id"] == hashed("x" * 900)


def fields_of_samples() -> set[tuple[str, ...]]:
    """Return the path of every field of the samples that a rule may name."""
    needed = {"event_type", "event_id", "app_id", "timestamp", "timestamp_iso", "metadata"}
    found: set[tuple[str, ...]] = set()
    for event in SENT:
        for name, value in event.items():
            found |= {(name, inner) for inner in value} if isinstance(value, dict) else {(name,)}
    return {path for path in found if path[0] not in needed}


@pytest.mark.parametrize("length", [32, 63, 64, 65, 200])
def test_a_hash_is_the_standard_one(length: int) -> None:
    """With a key of any length."""
    key = bytes(range(length))
    rules = RedactionRules({("a",): "hash"}, {}, key)
    kept = json.loads(Redaction(rules).body(b'{"a": "Zo\\u00eb"}'))

    assert kept["a"] == "hmac:" + hmac.new(key, "Zoë".encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("action", ["drop", "hash", "truncate"])
@pytest.mark.parametrize("event", SENT, ids=lambda event: event["event_type"])
def test_both_paths_of_the_decoder_agree(event: dict[str, Any], action: str) -> None:
    """With a rule for every field of the samples; one more unknown member takes the slow path."""
    rules = dict.fromkeys(sorted(fields_of_samples()), action)
    fast, slow = (record(json.dumps(event | more).encode(), rules) for more in ({}, {"new": None}))

    assert fast["extra"] == {}
    assert fast | {"extra": {}} == slow | {"extra": {}}
    if action == "drop":
        assert set(fast["device_properties"].values()) == {None}


@pytest.mark.parametrize(
    "changes",
    [
        block_of("device_properties", ip=PLANTED),
        block_of("device_properties", ip=[PLANTED, [[PLANTED]]]),
        block_of("device_properties", ip={"deep": PLANTED}),
        {"device_properties": [{"ip": PLANTED}, [{"ip": PLANTED}]]},
        {"device_properties": json.dumps({"ip": PLANTED})},
        block_of("device_properties", ip=PLANTED) | {"event_properties": MANY},
        block_of("device_properties", ip=PLANTED) | {"event_type": "Nobody"},
        block_of("device_properties", ip=PLANTED) | {"event_type": "Nobody", "event_properties": MANY},
        block_of("device_properties", ip=PLANTED) | {"metadata": {"schema_id": "Event_AppOpened_9_9_9"}},
        {"new": {"list": [{"mail": PLANTED}, {"mail": [PLANTED]}], "other": 1}},
        {"new": [{"list": {"mail": PLANTED}}]},
        {"new": {"list": [{"mail": PLANTED}] * 1_100}},
        {"a.b%": PLANTED},
        {"event_properties": {"a.b%": PLANTED}},
        {"shopify_properties": PLANTED},
        {"session_id": PLANTED, "event_type": "Nobody"},
    ],
    ids=lambda changes: json.dumps(changes)[:40],
)
@pytest.mark.parametrize("action", ["drop", "hash", "truncate"])
def test_a_planted_value_is_nowhere(changes: dict[str, Any], action: str) -> None:
    """In a known or an unknown field, in a list, in text, of any type, in a light or a heavy body."""
    paths = (
        ("device_properties", "ip"),
        ("new", "list", "mail"),
        ("a.b%",),
        ("event_properties", "a.b%"),
        ("shopify_properties",),
        ("session_id",),
    )
    body = body_of(**changes)
    rules = dict.fromkeys(paths, action)
    value = decoder(rules).decode(body, {}).encode(1)

    assert b"planted" in body
    for kept in (value, redaction(rules).body(body)):
        assert PLANTED.encode() not in kept
        assert b"planted" not in kept


def test_a_heavy_body_is_recognised() -> None:
    """Otherwise the test above proves less than it says."""
    assert jsontext.is_heavy(body_of(event_properties=MANY))


@pytest.mark.parametrize("action", ["hash", "truncate"])
@pytest.mark.parametrize("value", [["planted"] * 1_001, {"a": "planted"}], ids=["long", "object"])
def test_what_cannot_be_transformed_is_removed(value: Any, action: str) -> None:
    """A list that would take too long, and an object; a list within the bound is kept."""
    rules: Rules = {("new", "a"): action, ("new", "b"): action}
    body = json.dumps({"new": {"b": ["x"] * 100, "a": value, "c": ["y"]}}).encode()
    kept = json.loads(redaction(rules).body(body))["new"]

    assert kept.keys() == {"b", "c"}
    assert len(kept["b"]) == 100


def test_lists_in_lists_have_a_bound() -> None:
    """What lies deeper is removed."""
    deep, deeper = (b'{"a":' + b"[" * depth + b'"planted"' + b"]" * depth + b"}" for depth in (16, 17))
    rules = redaction({("a",): "hash"})

    assert hashed("planted").encode() in rules.body(deep)
    assert rules.body(deeper) == b'{"a":' + b"[" * 16 + b"]" * 16 + b"}"


@given(events())
def test_redacting_and_decoding_may_change_places(body: bytes) -> None:
    """A redacted body decodes to the event that ingest keeps: what a replay of the quarantine does."""
    rules: Rules = {
        ("device_properties",): "drop",
        ("event_properties", "product_id"): "drop",
        ("shopify_properties", "shopify_user_id"): "drop",
        ("app_properties", "environment"): "drop",
        ("a.b",): "drop",
        ("session_id",): "drop",
    }
    at_once = decoder(rules).decode(body, {})
    later = EVERY.decode(redaction(rules).body(body), {})

    assert record_of(at_once) == record_of(later)


@pytest.mark.parametrize("more", [b"", b'"new":1,'])
def test_repeated_and_escaped_names_hide_nothing(more: bytes) -> None:
    """JSON allows a name twice, and each of its characters as an escape."""
    rules: Rules = {("device_properties", "ip"): "drop", ("new", "mail"): "drop"}
    planted = (
        b'"device_properties":{"ip":"planted"},"device_properties":{"ip":"planted","\\u0069p":"planted"},'
        b'"n\\u0065w":{"mail":"planted","m\\u0061il":"planted"},'
    )
    body = b"{" + planted + more + body_of(device_properties=...)[1:]
    event = decoder(rules).decode(body, {})

    assert b"planted" not in event.encode(1) + redaction(rules).body(body)
    assert event.release.name == "AppOpened"


def test_other_values_stay_as_they_were() -> None:
    """Numbers keep their digits; a null, and what is no member of a rule's path, stays."""
    rules: Rules = {("new", "mail"): "hash", ("device_properties", "ip"): "hash"}
    new = b'{"price":1.50,"mail":null,"deep":{"mail":1e2}}'
    body = b'{"new":' + new + b"," + body_of(**block_of("device_properties", ip=None))[1:]
    before, after = (record_of(one.decode(body, {})) for one in (EVERY, decoder(rules)))

    assert after == before
    assert b'"price":1.50' in redaction(rules).body(body)
    assert json.loads(redaction(rules).body(body)) == json.loads(body)


def test_rules_of_a_type_come_first() -> None:
    """They add to the rules of all events, and replace one on the same path."""
    own = {"AppOpened": {("session_id",): "drop", ("device_properties", "ip"): "drop"}}
    rules = decoder({("device_id",): "hash", ("session_id",): "truncate"}, own)
    of_type, of_another = (
        record_of(rules.decode(body_of(event_type=name, session_id="12345"), {}))
        for name in ("AppOpened", "Nobody")
    )

    assert (of_type["session_id"], of_another["session_id"]) == (None, "123")
    assert of_type["device_id"] == of_another["device_id"] == hashed(APP_OPENED["device_id"])
    assert of_type["device_properties"]["ip"] is None
    assert of_another["device_properties"]["ip"] == APP_OPENED["device_properties"]["ip"]


def test_a_body_without_a_type_gets_the_rules_of_all_types() -> None:
    """Nobody knows which would hold, so the strongest do."""
    own: dict[str, Rules] = {
        "AppOpened": {("session_id",): "drop"},
        "CartViewed": {("session_id",): "hash"},
    }
    rules = redaction({("session_id",): "truncate"}, own)
    bodies = [body_of(event_type=name) for name in (..., None, 17)]

    assert all("session_id" not in json.loads(rules.body(body)) for body in bodies)


@pytest.mark.parametrize("action", ["drop", "hash", "truncate"])
def test_a_clickstream_event_is_redacted_with_its_headers(action: str) -> None:
    """Its device comes from a header, its session from mp_metadata."""
    rules: Rules = {
        ("device_id",): action,
        ("session_id",): action,
        ("data", "mail"): action,
        ("properties", "os"): action,
    }
    sent = CLICKSTREAM | {
        "data": {"mail": PLANTED},
        "mp_metadata": {"mp_event_id": "id-1", "mp_session_id": PLANTED},
        "properties": {"os": PLANTED},
    }
    event = decoder(rules).decode(json.dumps(sent).encode(), HEADERS | {"deviceid": PLANTED})
    found = record_of(event)
    kept = {"drop": None, "hash": hashed(PLANTED), "truncate": PLANTED[:3]}[action]

    assert (found["device_id"], found["session_id"]) == (kept, kept)
    assert b"planted" not in event.encode(1)
    assert (event.app_id, event.event_id) == ("app-1", "id-1")


def test_a_list_of_events_is_redacted_one_by_one() -> None:
    """Each by the rules of its type."""
    rules = redaction({}, {"AppOpened": {("session_id",): "drop"}})
    kept = json.loads(rules.body(b"[" + body_of() + b"," + body_of(event_type="Nobody") + b"]"))

    assert ["session_id" in event for event in kept] == [False, True]


@pytest.mark.parametrize(
    "body",
    [
        b'{"device_properties":{"ip":"planted"',
        b'"planted"',
        b'[{"event_type":"AppOpened"},"planted"]',
        b"\xff planted",
        b'{"ip":"planted","deep":' + b"[" * 600 + b"]" * 600 + b"}",
        b"[" + b"{}," * 1_000 + b'{"ip":"planted"}]',
    ],
    ids=range(6),
)
def test_a_body_without_paths_is_not_kept_unless_allowed(body: bytes) -> None:
    """Its length and digest are."""
    rules: Rules = {("ip",): "drop"}
    kept = Redaction(RedactionRules(rules, {}, keeps_unparsed=True)).body(body)
    dropped = json.loads(Redaction(RedactionRules(rules, {})).body(body))

    assert kept == body
    assert dropped == {"body_not_kept": {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}}
