"""Many uninstalls of an app within an hour, or a silent app -> a line of JSON on standard output.

`python -m consumers.examples.alerts [UNINSTALLS] [SILENT_MINUTES]`. Tapcart documents no uninstall event; if
it sends one, it is kept untyped under its own name. PushNotificationDisabled is the closest documented event.
Events that an alert may still need are held: uninstalls for an hour, and each app's last event. A restart
therefore reads them again, and an alert may be repeated. The current time is the moment until which
everything was read, so neither lag nor an outage of Kafka counts as silence. With INGEST_KEY=app_id,device_id
run one process: of several, each would count a part of an app.
"""

import json
import sys
from typing import NamedTuple

from consumers.kit import Hold, events, run

_UNINSTALLS = frozenset({"AppUninstalled", "PushNotificationDisabled"})
_WINDOW_MS = 3_600_000


class HeldEvent(NamedTuple):
    """An event that an alert may still need."""

    at_ms: int
    is_uninstall: bool
    hold: Hold


def alert(what: str, app_id: str, count: int) -> None:
    """Print an alert; replace this with your pager."""
    sys.stdout.write(json.dumps({"alert": what, "app_id": app_id, "count": count}) + "\n")
    sys.stdout.flush()


def needed(seen: list[HeldEvent], now_ms: int) -> list[HeldEvent]:
    """Return the events that alerts of an app may still need; release the others."""
    kept = [one for one in seen[:-1] if one.is_uninstall and one.at_ms > now_ms - _WINDOW_MS] + seen[-1:]
    for one in seen:
        if one not in kept:
            one.hold.release()
    return [one for one in kept if one.hold.is_ours]


def main(uninstalls: float = 50, silent_minutes: float = 60, *, group: str = "alerts") -> None:
    """Watch all apps until stopped."""
    apps: dict[str, list[HeldEvent]] = {}
    alerted: set[tuple[str, str]] = set()
    stream = events(group)
    for event in stream.ticking(1.0):
        if event is not None:
            seen = apps.setdefault(event.get("app_id") or "", [])
            if seen and not seen[-1].is_uninstall:
                seen.pop().hold.release()
            seen.append(
                HeldEvent(event["received_at"], event.get("event_type") in _UNINSTALLS, stream.hold())
            )
            continue
        now_ms = stream.read_until_ms
        apps = {app: kept for app, seen in apps.items() if (kept := needed(seen, now_ms))}
        due: dict[tuple[str, str], int] = {}
        for app, seen in apps.items():
            count = sum(one.is_uninstall and one.at_ms > now_ms - _WINDOW_MS for one in seen)
            silent = (now_ms - seen[-1].at_ms) / 60_000
            due |= {("uninstalls", app): count} if count >= uninstalls else {}
            due |= {("silent", app): round(silent)} if silent >= silent_minutes else {}
        for what, app in due.keys() - alerted:
            alert(what, app, due[what, app])
        alerted = {*due}


if __name__ == "__main__":
    run(main)
