"""Values of `tapcart.events` -> the newest events as people read them.

Invariants: what names a person or a device is shortened before it is kept; memory is bounded, and however
many arrive at once, a few are decoded. A value that does not decode is passed over: the loader will say why
it is none.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from consumers.kit.decode import InvalidRecordError, fields_of
from consumers.live.redact import text_shortened, value_shortened
from consumers.live.state import RedactedEvent
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire_ids import Headers, releases_of

_log = logging.getLogger(__name__)

# Place (partition and offset), received_at in milliseconds, value, headers.
Arrival = tuple[tuple[int, int], int, bytes, Headers | None]

_KEPT_MAX = 1_000  # 3 MB; a page whose list stands still can open its lines for a minute at any rate
_READ_MAX = 15
_FIELD_BYTES_MAX = 20_000  # of one event's fields
# Fields whose value is an object as JSON text, and the block that it is.
_BLOCKS_AS_TEXT = {
    "raw": "event_properties",
    "extra": "extra",
    "data": "data",
    "properties": "properties",
    "mp_metadata": "mp_metadata",
}


class Newest:
    """Reads what arrives and remembers the newest."""

    def __init__(self, current: SchemaReloader) -> None:
        self._current = current
        self._events: tuple[RedactedEvent, ...] = ()

    def read(self, arrivals: Sequence[Arrival]) -> tuple[RedactedEvent, ...]:
        """Return the newest events, the newest first, after these have arrived."""
        newest = sorted(arrivals, key=lambda arrival: arrival[1])[-_READ_MAX:]
        catalog = self._current.catalog
        read = [_event_if_readable(catalog, arrival) for arrival in newest]
        known = {one.key: one for one in (*self._events, *filter(None, read))}
        ordered = sorted(known.values(), key=lambda one: one.received_at_ms, reverse=True)
        self._events = tuple(ordered[:_KEPT_MAX])
        return self._events


def _event_if_readable(catalog: Catalog, arrival: Arrival) -> RedactedEvent | None:
    """Return the event; None also for what nobody expected a record to hold: the others are shown."""
    place, received_at_ms, value, headers = arrival
    try:
        return event(catalog, value, place, received_at_ms, headers)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        _log.exception("record_not_shown", extra={"partition": place[0], "offset": place[1]})
        return None


def event(
    catalog: Catalog, value: bytes, place: tuple[int, int], received_at_ms: int, headers: Headers | None
) -> RedactedEvent | None:
    """Return the event in a Kafka value from `place` (partition, offset); None: it is none that is known."""
    datum = decoded(value, releases_of(catalog, value, headers))
    if datum is None:
        return None
    return RedactedEvent(
        key=f"{place[0]}-{place[1]}",
        received_at_ms=received_at_ms,
        timestamp_ms=datum.get("timestamp"),
        event_type=text_shortened(str(datum.get("event_type") or datum.get("event") or ""))[:80],
        app_id=text_shortened(str(datum.get("app_id") or ""))[:80],
        device=str(value_shortened("device_id", datum.get("device_id") or "")),
        fields=_fields(datum),
    )


def decoded(value: bytes, releases: Iterable[Release]) -> dict[str, Any] | None:
    """Return the fields of a Kafka value, times as milliseconds; None: by none of these it can be decoded."""
    for release in releases:
        try:
            return fields_of(release, value)
        except InvalidRecordError:
            continue
    return None


def _fields(datum: dict[str, Any]) -> bytes:
    """Return what is said, as JSON: {path: value}."""
    said: dict[str, Any] = {}
    for name, given in datum.items():
        block, value = _BLOCKS_AS_TEXT.get(name, name), _readable(given)
        if name in _BLOCKS_AS_TEXT:
            value = _parsed(value)
        if isinstance(value, dict):
            said |= {
                f"{block}.{text_shortened(member)}": value_shortened(member, part)
                for member, part in value.items()
            }
        else:
            said[block] = value_shortened(block, value)
    return msgspec.json.encode(_within_bounds({k: v for k, v in said.items() if v not in (None, "", [], {})}))


def _readable(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text


def _within_bounds(said: dict[str, Any]) -> dict[str, Any]:
    within: dict[str, Any] = {}
    room = _FIELD_BYTES_MAX
    for name, value in said.items():
        room -= len(name) + len(json.dumps(value))
        within[name] = value if room > 0 else "…"
    return within
