"""A catalog -> all that the loader needs of it: the formats of each topic, the tables, the check of a record.

Records of others, without our checksum, are checked one by one. Such a value is accepted only if it decodes
to its last byte and has all required fields. It is encoded again, so that only our own bytes reach the
engine's decoder, which does not detect all damage. A record with a wrong checksum is damaged, whatever it
decodes to. A damaged record of the quarantine topic becomes a row of the quarantine table directly, so that
it never circulates. Source: docs/decisions/0016-loader.md.

Invariants: bindings never change; a new catalog has new ones, and older ones stay usable, because releases
are only added.
"""

import io
from datetime import UTC, datetime
from typing import Any

import fastavro

from consumers.kit.decode import (
    DAMAGED,
    REFUSED,
    UNKNOWN_SCHEMA,
    WRONG_TOPIC,
    InvalidRecordError,
    Refusal,
    encode_refusal,
    fields_of,
    header,
    plain,
    refusal_of,
    require,
    sound,
)
from consumers.kit.record import Record
from consumers.warehouse import tables
from consumers.warehouse.load.container import Format, format_of, place_of
from consumers.warehouse.metrics import Metrics
from runtime.kafka import record_headers, topics
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire import HEADER_BYTES, prefix, wire_id_of
from schemas.catalog.wire_ids import releases_of


class CurrentBindings:
    """The bindings in use. One thread calls `reload`; any may read `bindings`."""

    def __init__(self, reloader: SchemaReloader, metrics: Metrics) -> None:
        self._reloader = reloader
        self._metrics = metrics
        reloader.on_refused = metrics.schemas_refused.inc
        self._of = reloader.catalog
        self.bindings = SchemaBindings(self._of)
        metrics.schemas.set(len(reloader.catalog.releases))

    @property
    def catalog(self) -> Catalog:
        """The newest catalog."""
        return self._reloader.catalog

    @property
    def is_reload_due(self) -> bool:
        """Whether the last check is long enough ago, and a reload may find a change."""
        return self._reloader.is_due and self._reloader.changed

    def reload(self) -> bool:
        """Reload the schemas; return whether the bindings have changed."""
        self._reloader.try_reload()
        if self._of is self._reloader.catalog:  # another user of the reloader may have reloaded first
            return False
        self._of = self._reloader.catalog
        self.bindings = SchemaBindings(self._of)
        self._metrics.schemas.set(len(self._of.releases))
        return True


class SchemaBindings:
    """The loader's view of one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._forms = {form.prefix: form for form in map(format_of, catalog.releases)}
        self.tables = tables.tables(catalog)
        # Values of other schemas are checked one by one.
        self.by_topic: dict[str, dict[bytes, Format]] = {topics.EVENTS: {}, topics.QUARANTINE: {}}
        for form in self._forms.values():
            self.by_topic[form.release.topic][form.prefix] = form

    def check(self, topic: str, record: Record) -> tuple[Format, bytes] | Refusal:
        """Return the record as a row (its format and body), or its refusal."""
        try:
            return self._row(topic, record)
        except InvalidRecordError as error:
            refusal = refusal_of(error, topic, record)
        return self.kept(refusal) if topic == topics.QUARANTINE else refusal

    def kept(self, refusal: Refusal) -> tuple[Format, bytes]:
        """Return the refusal as a row of the quarantine."""
        form = self._forms[prefix(self._catalog.quarantine.wire_id)]
        return form, encode_refusal(self._catalog, refusal)[HEADER_BYTES:]

    def datum(self, form: Format, body: bytes) -> dict[str, Any]:
        """Decode a row's fields; times as milliseconds."""
        return fields_of(form.release, form.prefix + body)

    def day(self, form: Format, body: bytes) -> int | None:
        """Return the day (20260131, UTC) of a row's partition, or None."""
        try:
            at = self.datum(form, body).get("timestamp")
        except InvalidRecordError:
            return None
        return None if at is None else int(datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%d"))

    def encoded_again(self, form: Format, body: bytes) -> bytes:
        """Return the body of a rejected row in our own encoding. Raises: InvalidRecordError."""
        return _encoded(form.release, self.datum(form, body))

    def refused(self, form: Format, topic: str, row: tuple[bytes, bytes], detail: str) -> Refusal:
        """Build the refusal of a row (body and head) that the engine rejected."""
        body, head = row
        _, partition, offset, appended_at = place_of(head)
        value = form.prefix + body
        try:
            datum = fields_of(form.release, value)
        except InvalidRecordError:
            datum = {}
        return Refusal(
            reason=REFUSED,
            detail=detail,
            body=value,
            received_at_ms=datum.get("received_at", appended_at),
            record=f"{topic}/{partition}/{offset}",
            app_id=datum.get("app_id"),
            event_id=datum.get("event_id"),
        )

    def _row(self, topic: str, record: Record) -> tuple[Format, bytes]:
        value = sound(record.value(), header(record, record_headers.CRC32))
        wire_id = wire_id_of(value)
        if wire_id is None:
            raise InvalidRecordError(DAMAGED, "the value does not start with 0 and a schema id")
        # Not the error itself, whose frame would refer to it: such cycles hold records until a collection.
        reason, detail = UNKNOWN_SCHEMA, f"no schema has the id {wire_id}"
        for release in releases_of(self._catalog, value, record.headers()):
            try:
                return self._row_of(topic, release, value)
            except InvalidRecordError as error:
                reason, detail = error.reason, error.detail
        raise InvalidRecordError(reason, detail)

    def _row_of(self, topic: str, release: Release, value: bytes) -> tuple[Format, bytes]:
        if topic != release.topic:
            raise InvalidRecordError(WRONG_TOPIC, f"{release.schema_id} does not belong in {topic}")
        datum = fields_of(release, value)
        require(release, datum)
        return self._forms[prefix(release.wire_id)], _encoded(release, datum)


def _encoded(release: Release, datum: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, plain(release.text), datum)
    return stream.getvalue()
