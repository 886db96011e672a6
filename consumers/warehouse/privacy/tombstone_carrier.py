"""The tombstones of one Kafka -> another one, which is about to replace it.

Invariants: keys and values are copied as they are, so the same key file reads them. Writing them twice
changes nothing: the topic is compacted, and of one id the latest moment counts. A record without a value is
no tombstone: written as an empty one, it would stop every reader of the topic.
"""

from collections.abc import Iterable, Mapping

from consumers.kit.record import Record
from consumers.warehouse.privacy import tombstone_writer


def carry(records: Iterable[Record], kafka: Mapping[str, str]) -> int:
    """Copy the tombstones among `records`, and return their number. Raises: TransientError, ErasureError."""
    tombstone_writer.ensure_topic(kafka)
    found = [(record.key() or b"", value) for record in records if (value := record.value()) is not None]
    tombstone_writer.write_stored(kafka, found)
    return len(found)
