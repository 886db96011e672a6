"""Invented shoppers' events for the bench."""

import json

from tests.bench.dataset import DAY_MS
from tests.bench.shoppers import Events, _bodies


def test_events_differ_and_lie_on_their_days() -> None:
    """Also purchases that the shop's server reports, without a session or a device."""
    events = [
        json.loads(body)
        for body in _bodies(Events("it-", 30_000, apps=3, day=lambda number, count, _: number * 4 // count))
    ]

    assert len({event["event_id"] for event in events}) == len(events)
    assert {event["app_id"] for event in events} == {"it-0", "it-1", "it-2"}
    assert len({event["timestamp"] // DAY_MS for event in events}) == 4
    assert any("session_id" not in event for event in events)
    assert len({event["event_type"] for event in events}) == 14
