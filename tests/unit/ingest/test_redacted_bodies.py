"""Bodies that go to the quarantine, under rules about personal data."""

import json
from typing import Any

import pytest

from consumers.kit.decode import fields_of
from ingest.http.receive import Accepted, BodyOrigin, Receiver, Rejected, Rejection
from runtime import probe
from runtime.kafka import topics
from schemas.catalog.catalog import Catalog
from schemas.codec.redaction import Redaction, RedactionRules

NOW_MS = 1_800_000_000_000
CATALOG = Catalog.load()
RULES = {("device_id",): "hash", ("device_properties", "ip"): "drop"}
RECEIVER = Receiver(CATALOG, Redaction(RedactionRules(RULES, {}, b"k" * 32)))
KEEPING = Receiver(CATALOG, Redaction(RedactionRules(RULES, {}, b"k" * 32, keeps_unparsed=True)))
EVENT = {
    "event_type": "AppOpened",
    "event_id": "1",
    "app_id": "a",
    "device_id": "planted",
    "timestamp": NOW_MS,
    "device_properties": {"ip": "planted"},
}


def kept_of(found: Accepted | Rejected) -> dict[str, Any]:
    """Return the fields of a quarantine record."""
    assert isinstance(found, Rejected)
    assert found.record.topic == topics.QUARANTINE
    return fields_of(CATALOG.quarantine, found.record.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": None},
        {"timestamp": 1},
        {"app_id": 5},
        {"event_type": probe.EVENT_TYPE, "pad": "x" * 5000},
    ],
    ids=str,
)
def test_a_quarantined_event_is_redacted(changes: dict[str, Any]) -> None:
    """Whatever makes it invalid; nothing of a value is in the record."""
    found = RECEIVER.receive(json.dumps(EVENT | changes).encode(), {}, NOW_MS)

    assert kept_of(found)["body"].startswith(b'{"event_type"')
    assert b"planted" not in found.record.value


def test_a_replayed_body_is_the_event_that_was_sent() -> None:
    """A hash is not hashed again, so its identity is the same."""
    late = kept_of(RECEIVER.receive(json.dumps(EVENT | {"timestamp": NOW_MS + 10**10}).encode(), {}, NOW_MS))
    replayed, sent = (
        RECEIVER.receive(body, {}, NOW_MS + 10**10)
        for body in (late["body"], json.dumps(EVENT | {"timestamp": NOW_MS + 10**10}).encode())
    )

    assert isinstance(replayed, Accepted)
    assert replayed.record.value == sent.record.value
    assert b"hmac:" in replayed.record.value


def test_a_body_that_is_not_json_is_described() -> None:
    """Its reason stays; `keep` keeps it verbatim, with its encoding."""
    body = b'{"device_id":"planted"'
    described, verbatim = (one.receive(body, {}, NOW_MS) for one in (RECEIVER, KEEPING))

    assert kept_of(described)["reason"] == "not_json"
    assert json.loads(kept_of(described)["body"])["body_not_kept"]["bytes"] == len(body)
    assert kept_of(verbatim)["body"] == body
    assert b"planted" not in described.record.value


def test_an_undecodable_body_is_described_without_its_encoding() -> None:
    """The description is not encoded."""
    origin, why = BodyOrigin(content_encoding="gzip"), Rejection(400, "content_encoding", "damaged")
    described, verbatim = (
        kept_of(one.reject(b"\x1f\x8b", why, NOW_MS, origin)) for one in (RECEIVER, KEEPING)
    )

    assert (described["content_encoding"], verbatim["content_encoding"]) == (None, "gzip")
    assert b"body_not_kept" in described["body"]
    assert verbatim["body"] == b"\x1f\x8b"
