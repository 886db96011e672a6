"""Many uninstalls of an app within an hour, or an app that falls silent -> a line of JSON on standard output.

`python -m consumers.examples.alerts [UNINSTALLS] [SILENT_MINUTES]`. Tapcart documents no uninstall event:
one that it may send is kept untyped under its own name; PushNotificationDisabled is the nearest documented.
What an alert may still need is held: uninstalls for an hour, and each app's last event. So a restart knows it
again; an alert may be repeated. Now is the time until which everything was read: lag is no silence, nor is an
outage of Kafka.
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
    """Tell it; put your pager here."""
    sys.stdout.write(json.dumps({"alert": what, "app_id": app_id, "count": count}) + "\n")
    sys.stdout.flush()


def needed(seen: list[HeldEvent], now_ms: int) -> list[HeldEvent]:
    """Return what an alert may still need of an app; let go of the rest."""
    kept = [one for one in seen[:-1] if one.is_uninstall and one.at_ms > now_ms - _WINDOW_MS] + seen[-1:]
    for one in seen:
        if one not in kept:
            one.hold.release()
    return [one for one in kept if one.hold.is_ours]


def main(uninstalls: float = 50, silent_minutes: float = 60, *, group: str = "alerts") -> None:
    """Watch until stopped."""
    apps: dict[str, list[HeldEvent]] = {}
    told: set[tuple[str, str]] = set()
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
        for what, app in due.keys() - told:
            alert(what, app, due[what, app])
        told = {*due}


if __name__ == "__main__":
    run(main, *map(float, sys.argv[1:3]))
