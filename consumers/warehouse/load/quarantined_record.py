"""A refused value as the original record, to be checked again."""

from dataclasses import dataclass

from consumers.warehouse.load.container import head_of
from schemas.codec.varint import long

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A refused value as the original record, to be checked again."""

    place: tuple[str, int, int]  # topic, partition, offset
    body: bytes
    received_at_ms: int  # the record's timestamp
    app_id: str | None
    headers_: Headers = ()

    def topic(self) -> str:
        """Return the topic."""
        return self.place[0]

    def partition(self) -> int:
        """Return the partition."""
        return self.place[1]

    def offset(self) -> int:
        """Return the offset."""
        return self.place[2]

    def timestamp(self) -> tuple[int, int]:
        """Return the timestamp's kind and milliseconds."""
        return 1, self.received_at_ms

    def headers(self) -> list[tuple[str, bytes | None]]:
        """Return the known headers; without a checksum, the value is decoded and checked."""
        return [*self.headers_]

    def key(self) -> bytes | None:
        """Return the key."""
        return self.app_id.encode() if self.app_id else None

    def value(self) -> bytes:
        """Return the value."""
        return self.body

    def head(self, log: int) -> bytes:
        """Return the row's head in a container, for a record of `log`."""
        return head_of(log, self.place[1]) + long(self.place[2]) + long(self.received_at_ms)


def quarantined_record(
    record: str,
    body: bytes,
    received_at_ms: int,
    app_id: str | None,
    headers: Headers = (),
) -> QuarantinedRecord:
    """Rebuild the refused record; `record`: topic/partition/offset."""
    topic, partition, offset = record.rsplit("/", 2)
    return QuarantinedRecord((topic, int(partition), int(offset)), body, received_at_ms, app_id, headers)
