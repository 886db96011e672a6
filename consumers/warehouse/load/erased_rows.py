"""Rows about to be inserted -> those that are of nobody erased. Pure.

Invariant: without tombstones, rows are not touched. Of the others, only those from before the newest erasure
are decoded; of an event, the fields up to its times tell.
"""

from collections.abc import Sequence

from consumers.kit.decode import InvalidRecordError, fields_of, times_of
from consumers.kit.erasures.erased_ids import ErasedIds, moment_ms
from consumers.kit.erasures.words import KAFKA_VALUE
from consumers.warehouse.load.container import Format, place_of


def without_erased(erased: ErasedIds, form: Format, parts: Sequence[bytes]) -> Sequence[bytes]:
    """Return the rows (bodies and heads, alternating) that stay."""
    if erased.is_empty:
        return parts
    kept: list[bytes] = []
    for body, head in zip(parts[::2], parts[1::2], strict=True):
        if not _is_erased(erased, form, body, head):
            kept += (body, head)
    return parts if len(kept) == len(parts) else kept


def _is_erased(erased: ErasedIds, form: Format, body: bytes, head: bytes) -> bool:
    value = form.prefix + body
    try:
        if moment_ms(*times_of(form.release, value)) > erased.newest_ms:
            return False
        return erased.stops(fields_of(form.release, value))
    except InvalidRecordError:
        return erased.stops_body(KAFKA_VALUE.encode() + value, place_of(head)[3], "")
