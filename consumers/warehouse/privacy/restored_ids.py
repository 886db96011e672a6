"""Tombstones, and tables that a backup has filled again -> the erased ids that the tables hold.

An id cannot be read from its tombstone, so every text in the tables that may be an id is hashed and compared.
Invariants: read-only; one partition at a time, so memory does not grow with the tables.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from consumers.kit.erasures.erased_ids import DEVICE, ID_COLUMNS, ErasedIds
from consumers.warehouse.privacy.columns import text_columns
from consumers.warehouse.privacy.held_rows import Columns, HeldRows
from consumers.warehouse.privacy.people import People
from consumers.warehouse.privacy.row_filter import sequences_in, text, until


def restored(held: HeldRows, erased: ErasedIds) -> Iterator[tuple[int, People]]:
    """Yield the people whose rows are back, by the moment of their erasure. Raises: TransientError."""
    found: dict[tuple[int, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for table, columns in held.columns.items():
        for kind, one, apps in _erased_in(held, table, columns, erased):
            for app_id, at_ms in apps.items():
                found[at_ms, app_id][kind].add(one)
    for (at_ms, app_id), ids in sorted(found.items()):
        yield at_ms, People({kind: (*sorted(own),) for kind, own in ids.items()}, app_id)


def _erased_in(
    held: HeldRows, table: str, columns: Columns, erased: ErasedIds
) -> Iterator[tuple[str, str, Mapping[str, int]]]:
    """Yield kind, id (or its words), and the tombstones of each erased id in a table."""
    before = until(columns, erased.newest_ms)
    if text_columns(columns):
        for size in erased.sizes - {0}:
            for one in held.distinct(f"arrayJoin({sequences_in(columns, size)})", table, before):
                if apps := erased.of_words(one):
                    yield DEVICE, one, apps  # ids of words count whatever their kind
    for kind, names in ID_COLUMNS.items() if 0 in erased.sizes else ():
        for name in names:
            if name in columns:
                for one in held.distinct(text(name, columns), table, before):
                    if apps := erased.of_short(kind, one):
                        yield kind, one, apps
