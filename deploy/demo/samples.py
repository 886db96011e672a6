"""deploy/samples -> posts: one of each of the 14 documented event types, with fixed ids and times.

Invariant: the bodies are posted unchanged, so posting them twice changes no view.
"""

from pathlib import Path

from msgspec import json

from deploy.demo.generator import Post

FOLDER = Path(__file__).parents[1] / "samples" / "mobile"


def samples() -> list[Post]:
    """Return the posts by file name."""
    return [_post(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))]


def _post(body: bytes) -> Post:
    event = json.decode(body)
    return Post(
        sent_at_ms=event["timestamp"],
        body=body,
        status=200,
        kind="event",
        app_id=event["app_id"],
        event_type=event["event_type"],
        event_id=event["event_id"],
        timestamp_ms=event["timestamp"],
    )
