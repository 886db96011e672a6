"""A consumer's types and app -> the records it gets, and their form. Pure.

Invariants: a record whose key or headers name another app or type is skipped without decoding its value; a
record that names none is decoded to find out. An event that was kept untyped before its type got a schema is
decoded by that schema, as `replay --untyped` does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from consumers.kit.decode import INVALID, InvalidRecordError, fields_of, header
from consumers.kit.record import Record
from runtime.environment import SettingsError
from runtime.kafka import record_headers, record_key
from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog, Release
from schemas.codec.events import EventDecoder
from schemas.codec.row_to_json import RowError, event_of


@dataclass(frozen=True, slots=True)
class EventFilter:
    """The requested types and app."""

    types: dict[str, type[Any] | None]  # name -> class, or None for a dict. Empty: all, as dicts
    names: frozenset[bytes]  # accepted event_type headers; empty: any
    app_id: str | None

    def admits(self, record: Record) -> bool:
        """Return whether the record may match."""
        if self.app_id is not None and not record_key.may_be_of(record.key(), self.app_id):
            return False
        name = header(record, record_headers.EVENT_TYPE) if self.names else None
        return not name or name in self.names

    def event(self, release: Release, datum: dict[str, Any]) -> Any:
        """Return the event in the requested form, or None if it does not match."""
        if self.app_id is not None and datum.get("app_id") != self.app_id:
            return None
        if not self.types:
            return datum
        if release.name not in self.types:
            return None
        kind = self.types[release.name]
        return datum if kind is None else msgspec.convert(datum, kind)


def event_filter(
    catalog: Catalog, types: Iterable[type[Any] | str] | None, app_id: str | None
) -> EventFilter:
    """Build a filter; a type is given by name or by a class of that name. Raises: SettingsError."""
    found = {one if isinstance(one, str) else one.__name__: one for one in types or ()}
    known = {release.name: release for release in catalog.newest_releases() if release != catalog.quarantine}
    if strange := sorted(found.keys() - known.keys()):
        raise SettingsError(f"no event type {', '.join(strange)}; there are {', '.join(sorted(known))}")
    # Events without a schema and Clickstream events have any name in their header.
    is_closed = bool(found) and all(known[name].family == "mobile" for name in found)
    return EventFilter(
        {name: None if isinstance(one, str) else one for name, one in found.items()},
        frozenset(name.encode() for name in found) if is_closed else frozenset(),
        app_id,
    )


def typed(catalog: Catalog, release: Release, datum: dict[str, Any]) -> tuple[Release, dict[str, Any]]:
    """Decode an untyped event by the schema that its type has gained ("" becomes null).

    Raises: InvalidRecordError, if the event does not fit the schema, because another producer kept it
    untyped.
    """
    if release.name != catalog.unmodelled.name or catalog.newest(datum["event_type"]) is None:
        return release, datum
    columns = {
        f"{name}.{inner}" if isinstance(value, dict) else name: part
        for name, value in datum.items()
        for inner, part in (value.items() if isinstance(value, dict) else [("", value)])
    }
    try:
        event = event_of(_decoder(catalog), schema_model.fields(release.schema), columns)
    except RowError as error:
        raise InvalidRecordError(
            INVALID, f"untyped, and not a valid {datum['event_type']}: {error}"[:500]
        ) from error
    return event.release, fields_of(event.release, event.encode(datum["received_at"]))


@lru_cache(maxsize=2)
def _decoder(catalog: Catalog) -> EventDecoder:
    return EventDecoder(catalog, is_bounded=False)
