"""Kafka records -> rows grouped by release, and the time to insert them. Pure: the caller has the clock.

Invariants: a record becomes a row without decoding only if its checksum and schema id are correct and the
schema belongs to its topic. All others are checked one by one, by `SchemaBindings`. Every record becomes a
row or a refusal, and its offset is in `offsets`. Measured on one slow core: docs/decisions/0016-loader.md.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from consumers.kit.decode import Refusal
from consumers.kit.record import Place, Record
from consumers.warehouse.load.container import Format, head_of
from consumers.warehouse.load.schema_bindings import SchemaBindings
from runtime.kafka import record_headers, topics
from schemas.catalog.wire import HEADER_BYTES, checksum
from schemas.codec.varint import long

# Python's overhead per row: two objects and their places in a list.
_ROW_BYTES = 150
_NEVER_MS = sys.maxsize


class FlushReason(StrEnum):
    """Why a batch is due."""

    ROWS = "rows"
    BYTES = "bytes"
    AGE = "age"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of a batch."""

    rows_max: int
    bytes_max: int
    age_seconds_max: float


@dataclass(slots=True)
class RowGroup:
    """Rows of one release from one topic."""

    form: Format
    topic: str
    parts: list[bytes] = field(default_factory=list)  # body, head, body, head, ...


class Batch:
    """Rows to be inserted together."""

    def __init__(self, limits: BatchLimits, bindings: SchemaBindings) -> None:
        self.rows = 0
        self.bytes = 0
        self.offsets: dict[Place, int] = {}  # the next offsets once this batch is inserted
        self.refusals: list[Refusal] = []
        self.logs: Mapping[str, int] = {}  # of `refusals`, by topic; empty: from several logs of one topic
        self.checked = 0  # records that went through `check`
        self.oldest_ms = _NEVER_MS  # the earliest record's timestamp
        self._began: float | None = None
        self._limits = limits
        self._check = bindings.check
        self._groups = {
            topic: {prefix: RowGroup(form, topic) for prefix, form in forms.items()}
            for topic, forms in bindings.by_topic.items()
        }

    @property
    def groups(self) -> list[RowGroup]:
        """The groups that have rows."""
        return [group for groups in self._groups.values() for group in groups.values() if group.parts]

    @property
    def full(self) -> bool:
        """Whether no more records should be added."""
        return self.rows >= self._limits.rows_max or self.bytes >= self._limits.bytes_max

    @property
    def room(self) -> tuple[int, int]:
        """The number of rows and bytes that may still be added."""
        return self._limits.rows_max - self.rows, self._limits.bytes_max - self.bytes

    def due(self, now: float) -> FlushReason | None:
        """Return why the batch is due at `now` (seconds, as for `add`), or None."""
        if self._began is None:
            return None
        if self.rows >= self._limits.rows_max:
            return FlushReason.ROWS
        if self.bytes >= self._limits.bytes_max:
            return FlushReason.BYTES
        return FlushReason.AGE if now - self._began >= self._limits.age_seconds_max else None

    def seconds_left(self, now: float) -> float:
        """Return how long the batch may wait for more records."""
        waited = 0.0 if self._began is None else now - self._began
        return max(0.0, self._limits.age_seconds_max - waited)

    def add(self, records: Iterable[Record], now: float, logs: Mapping[str, int]) -> None:
        """Add records that arrived at `now` from `logs` (topic -> log)."""
        if logs != self.logs:
            self.logs = {} if self.refusals else {**logs}
        heads = _Heads(logs)
        last_at, last_at_bytes = -1, b""
        for record in records:
            topic, partition, offset = record.topic() or "", record.partition() or 0, record.offset() or 0
            at = record.timestamp()[1]
            if at != last_at:
                last_at, last_at_bytes = at, long(at)
                self.oldest_ms = min(self.oldest_ms, at)
            group, body = self._placed(topic, record)
            place = topic, partition
            self.offsets[place] = offset + 1
            self.rows += 1
            self.bytes += len(body) + _ROW_BYTES
            if group is not None:
                group.parts += (body, heads[place] + long(offset) + last_at_bytes)
        if self._began is None and self.rows:
            self._began = now

    def forget(self, places: Iterable[Place]) -> None:
        """Drop the offsets of revoked partitions; their rows may stay."""
        for place in places:
            self.offsets.pop(place, None)

    def _placed(self, topic: str, record: Record) -> tuple[RowGroup | None, bytes]:
        """Return the record's group and body. An intact record of ours is not decoded; others are checked."""
        value = record.value()
        if value is not None:
            crc32, own_prefix = record_headers.crc32_and_own_prefix(record.headers())
            if crc32 == checksum(value):
                group = self._groups[topic].get(own_prefix or value[:HEADER_BYTES])
                if group is not None:
                    return group, value[HEADER_BYTES:]
        return self._checked(topic, record)

    def _checked(self, topic: str, record: Record) -> tuple[RowGroup | None, bytes]:
        self.checked += 1
        checked = self._check(topic, record)
        if isinstance(checked, Refusal):
            self.refusals.append(checked)
            return None, checked.body
        form, body = checked
        return self._groups[topic][form.prefix], body


class _Heads(dict[Place, bytes]):
    """The beginning of the heads of each partition's rows."""

    def __init__(self, logs: Mapping[str, int]) -> None:
        super().__init__()
        self._logs = logs

    def __missing__(self, place: Place) -> bytes:
        topic, partition = place
        self[place] = head_of(self._logs.get(topic, topics.UNKNOWN_LOG), partition)
        return self[place]
