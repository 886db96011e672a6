"""A probe of the doctor is not an event: it is kept apart, truncated, and answered like one."""

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
    """Return the result of a probe."""
    body = json.dumps(EVENT | changes).encode()
    found = Receiver(Catalog.load()).receive(body, {}, NOW_MS)
    assert isinstance(found, Rejected)
    return found


def test_a_probe_goes_to_the_quarantine_under_its_own_reason() -> None:
    """It needs no app: any token may send one."""
    found = received()

    assert (found.status, found.reason, found.app_id, found.faults) == (200, "probe", None, ())
    assert found.record.topic == topics.QUARANTINE


def test_a_large_probe_is_cut() -> None:
    """It tests the limits, and need not be stored."""
    assert len(received(padding="x" * 1_000_000).record.value) < 2 * probe.BYTES_MAX


def test_a_probe_without_the_required_fields_is_a_body_like_any_other() -> None:
    """It is reported like any invalid event."""
    assert received(event_id=None).status == 422
