"""A probe of the doctor is no event: it is kept apart, cut, and answered as if it were one."""

import json

from ingest.http.receive import Receiver, Rejected
from runtime import probe
from runtime.kafka import topics
from schemas.catalog.catalog import Catalog

NOW_MS = 1_800_000_000_000
EVENT = {
    "event_type": probe.EVENT_TYPE,
    "event_id": "1",
    "app_id": "a",
    "device_id": "d",
    "timestamp": NOW_MS,
}


def received(**changes: object) -> Rejected:
    """Return what becomes of a probe."""
    body = json.dumps(EVENT | changes).encode()
    found = Receiver(Catalog.load()).receive(body, {}, NOW_MS)
    assert isinstance(found, Rejected)
    return found


def test_a_probe_goes_to_the_quarantine_under_its_own_reason() -> None:
    """And asks for no app of its own: any token may send one."""
    found = received()

    assert (found.status, found.reason, found.app_id, found.faults) == (200, "probe", None, ())
    assert found.record.topic == topics.QUARANTINE


def test_a_large_probe_is_cut() -> None:
    """It is sent to see what gets through, not to be kept."""
    assert len(received(padding="x" * 1_000_000).record.value) < 2 * probe.BYTES_MAX


def test_a_probe_without_the_required_fields_is_a_body_like_any_other() -> None:
    """A wrong one is told so."""
    assert received(event_id=None).status == 422
