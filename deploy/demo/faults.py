"""A valid event -> one that Tapcart might send some day (drift), or one that cannot be placed (broken).

Invariants: a drifted event is answered 200 and keeps its required fields; a broken one is answered 400 if it
is not JSON, else 422.
"""

from random import Random

from msgspec import json

from deploy.demo.envelopes import Event

_REQUIRED = (("event_type",), ("event_id",), ("app_id",), ("timestamp", "timestamp_iso"))


def drifted(rng: Random, event: Event) -> Event:
    """Return the event as another version of Tapcart's app might send it."""
    fields = event["event_properties"]
    match rng.randrange(5):
        case 0:
            return event | {"event_properties": fields | {"loyalty_tier": "gold"}}
        case 1:
            return event | {"metadata": {"schema_id": f"Event_{event['event_type']}_5_1_0"}, "region": "eu-1"}
        case 2:
            return event | {
                "event_type": "WishlistShared",
                "metadata": {"schema_id": "Event_WishlistShared_5_0_0"},
            }
        case 3:
            return event | {"session_properties": None}
        case _:
            return event | {"event_properties": fields | {"source": 7}}


def broken(rng: Random, event: Event) -> tuple[bytes, int]:
    """Return a body that cannot be placed, and its expected status."""
    body = json.encode(event)
    match rng.randrange(6):
        case 0:
            return body[: rng.randrange(1, len(body))], 400
        case 1:
            missing = rng.choice(_REQUIRED)
            return json.encode({name: value for name, value in event.items() if name not in missing}), 422
        case 2:
            return json.encode(event | {"event_id": ""}), 422
        case 3:
            return json.encode(event | {"timestamp": event["timestamp"] // 1000}), 422
        case 4:
            return json.encode(event | {"timestamp": 4_102_444_800_000}), 422
        case _:
            return b"[" + body + b"]", 422
