"""Values of `tapcart.events` -> the newest events in readable form.

Invariants: personal data and device ids are redacted before an event is kept. Memory is bounded, and only a
few events are decoded per poll, however many arrive. Undecodable values are skipped; the loader reports them.
Nobody erased is shown: events of before an erasure leave the page, and while erasures are unknown, all do.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from consumers.kit.decode import InvalidRecordError, fields_of
from consumers.kit.erasures.erased_ids import ErasedIds
from consumers.kit.erasures.follower import ErasureError, Erasures
from consumers.kit.errors import TransientError
from consumers.live.answers import RedactedEvent
from consumers.live.redact import text_shortened, value_shortened
from runtime.kafka.record_headers import Headers
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire_ids import releases_of

_log = logging.getLogger(__name__)

# Place (partition and offset), received_at in milliseconds, value, headers.
Arrival = tuple[tuple[int, int], int, bytes, Headers | None]

_KEPT_MAX = 1_000  # 3 MB; lines of a paused page stay available for a minute at any rate
_READ_MAX = 15
_FIELD_BYTES_MAX = 20_000  # of one event's fields
# Fields that hold an object as JSON text, and the block that they form.
_BLOCKS_AS_TEXT = {
    "raw": "event_properties",
    "extra": "extra",
    "data": "data",
    "properties": "properties",
    "mp_metadata": "mp_metadata",
}


class Newest:
    """Reads arriving records and remembers the newest."""

    def __init__(self, reloader: SchemaReloader, erasures: Erasures) -> None:
        self._reloader, self._erasures = reloader, erasures
        self._events: tuple[RedactedEvent, ...] = ()
        self._erased_ms: int | None = None  # the newest erasure of which `_events` knows
        self._problem = ""

    def read(self, arrivals: Sequence[Arrival]) -> tuple[RedactedEvent, ...]:
        """Add `arrivals`; return the newest events, newest first."""
        erased = self._erased()
        if erased is None or erased.newest_ms != self._erased_ms:
            self._events = ()  # redacted already, so nobody can tell whose they are
        if erased is None:
            return ()
        self._erased_ms = erased.newest_ms
        newest = sorted(arrivals, key=lambda arrival: arrival[1])[-_READ_MAX:]
        catalog = self._reloader.catalog
        read = [_event_if_readable(catalog, arrival, erased) for arrival in newest]
        known = {one.key: one for one in (*self._events, *filter(None, read))}
        ordered = sorted(known.values(), key=lambda one: one.received_at_ms, reverse=True)
        self._events = tuple(ordered[:_KEPT_MAX])
        return self._events

    def _erased(self) -> ErasedIds | None:
        """Return who is erased; None if that is unknown, which is logged once."""
        try:
            erased = self._erasures.current()
        except (TransientError, ErasureError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _log.warning("newest_not_shown", extra={"error": self._problem})
            return None
        self._problem = ""
        return erased


def _event_if_readable(catalog: Catalog, arrival: Arrival, erased: ErasedIds) -> RedactedEvent | None:
    """Return the event; None on any error, so that the others are still shown."""
    place, received_at_ms, value, headers = arrival
    try:
        return event(catalog, value, place, received_at_ms, headers, erased)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        _log.exception("record_not_shown", extra={"partition": place[0], "offset": place[1]})
        return None


def event(
    catalog: Catalog,
    value: bytes,
    place: tuple[int, int],
    received_at_ms: int,
    headers: Headers | None,
    erased: ErasedIds,
) -> RedactedEvent | None:
    """Decode the event at `place` (partition, offset); None: not a known event, or of somebody erased."""
    datum = decoded(value, releases_of(catalog, value, headers))
    if datum is None or erased.stops(datum):
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
    """Decode a Kafka value, times as milliseconds; None: no release can decode it."""
    for release in releases:
        try:
            return fields_of(release, value)
        except InvalidRecordError:
            continue
    return None


def _fields(datum: dict[str, Any]) -> bytes:
    """Return the non-empty fields as JSON: {path: value}."""
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
