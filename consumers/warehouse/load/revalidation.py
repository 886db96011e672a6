"""A record without a correct checksum -> a row after all, or its refusal.

Invariants: a value is accepted only if it decodes to its last byte and has all required fields. It is encoded
again, so that only our own bytes reach the engine's decoder, which does not detect all damage. A record with
a wrong checksum is damaged, whatever it decodes to. A damaged record of the quarantine topic becomes a row of
the quarantine table directly, so that it never circulates. Source: docs/decisions/0016-loader.md.
"""

import io
from collections.abc import Iterable
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
from consumers.warehouse.load.container import Format, place_of
from runtime.kafka import record_headers, topics
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.wire import HEADER_BYTES, prefix, wire_id_of
from schemas.catalog.wire_ids import releases_of


class Revalidation:
    """Checks records one by one."""

    def __init__(self, catalog: Catalog, forms: Iterable[Format]) -> None:
        self._catalog = catalog
        self._forms = {form.prefix: form for form in forms}

    def __call__(self, topic: str, record: Record) -> tuple[Format, bytes] | Refusal:
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
        partition, offset, appended_at = place_of(head)
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
        invalid = InvalidRecordError(UNKNOWN_SCHEMA, f"no schema has the id {wire_id}")
        for release in releases_of(self._catalog, value, record.headers()):
            try:
                return self._row_of(topic, release, value)
            except InvalidRecordError as error:
                invalid = error
        raise invalid

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
