"""What a consumer asks for -> which records it gets, and as what. Pure.

Invariants: a record that says by its key or its headers that it is of another app or type is passed without a
look at its value; what says nothing is decoded to find out. An event that was kept untyped and whose type has
a schema by now is read by that, as `replay --untyped` does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from consumers.kit.decode import INVALID, InvalidRecordError, fields_of, header
from consumers.kit.record import Record
from runtime.environment import SettingsError
from runtime.kafka import topics
from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog, Release
from schemas.codec.events import EventDecoder
from schemas.codec.row_to_json import RowError, event_of


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Types and app that are asked for."""

    types: dict[str, type[Any] | None]  # name -> what its events become; None: a dict. Empty: all, as dicts
    names: frozenset[bytes]  # the headers event_type that they have; empty: any
    app_id: str | None

    def admits(self, record: Record) -> bool:
        """Return whether the record may be one that is asked for."""
        key = record.key() if self.app_id is not None else None
        if key is not None and key != (self.app_id or "").encode():
            return False
        return not self.names or (header(record, topics.EVENT_TYPE) or None) in {*self.names, None}

    def event(self, release: Release, datum: dict[str, Any]) -> Any:
        """Return the event as it was asked for; None: it was not."""
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
    """Return what is asked for: a type by its name or by a class of that name. Raises: SettingsError."""
    found = {one if isinstance(one, str) else one.__name__: one for one in types or ()}
    known = {release.name: release for release in catalog.newest_releases() if release != catalog.quarantine}
    if strange := sorted(found.keys() - known.keys()):
        raise SettingsError(f"no event type {', '.join(strange)}; there are {', '.join(sorted(known))}")
    # Those of no schema, and of Clickstream, have headers of any name.
    is_closed = bool(found) and all(known[name].family == "mobile" for name in found)
    return EventFilter(
        {name: None if isinstance(one, str) else one for name, one in found.items()},
        frozenset(name.encode() for name in found) if is_closed else frozenset(),
        app_id,
    )


def typed(catalog: Catalog, release: Release, datum: dict[str, Any]) -> tuple[Release, dict[str, Any]]:
    """Return an event by the schema that its type has by now, if it came before that ("" becomes null).

    Raises: InvalidRecordError, if another producer kept it untyped, for it does not fit.
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
        raise InvalidRecordError(INVALID, f"untyped, and no {datum['event_type']}: {error}"[:500]) from error
    return event.release, fields_of(event.release, event.encode(datum["received_at"]))


@lru_cache(maxsize=2)
def _decoder(catalog: Catalog) -> EventDecoder:
    return EventDecoder(catalog, is_bounded=False)
