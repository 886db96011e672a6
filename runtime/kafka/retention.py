"""The operator's retention -> configuration entries of our topics, new and existing. Pure.

Kafka bounds partitions, not topics, and deletes whole segments, never the one being written. So a topic's
share of the bytes is divided equally among its partitions, and a segment is a fifth of that.
Source: Kafka's documentation of topic configurations; entry names are Kafka's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.kafka import topics

HOUR_MS = 3_600_000
_QUARANTINE_DIVISOR = 10  # it gets a tenth of the bytes, the events get the rest
_SEGMENTS = 5
_SEGMENT_BYTES_MIN, _SEGMENT_BYTES_MAX = 1024 * 1024, 1024 * 1024 * 1024  # Kafka's least, and its default
_NO_BOUND = -1


@dataclass(frozen=True, slots=True)
class Retention:
    """The operator's settings."""

    hours: int | None = None  # None: unknown here
    bytes: int | None = None  # one copy of both topics; 0: no bound; None: not set
    is_hours_set: bool = False  # if not, `hours` is only for new topics, and the least for existing ones

    def entries(self, topic: str, partitions: int) -> dict[str, str]:
        """Return the entries of a new topic."""
        found = {} if self.hours is None else {"retention.ms": str(self.hours * HOUR_MS)}
        if self.bytes is not None:
            bound, segment = self._partition_bytes(topic, partitions)
            found |= {"retention.bytes": str(bound), "segment.bytes": str(segment)}
        return found

    def changes(self, topic: str, partitions: int, config: Mapping[str, str]) -> dict[str, str]:
        """Return the entries that an existing topic with `config` lacks."""
        wanted = self.entries(topic, partitions)
        if not self.is_hours_set:
            wanted.pop("retention.ms", None)
        return {name: value for name, value in wanted.items() if config.get(name) != value}

    def problem(self, topic: str, partitions: int, config: Mapping[str, str]) -> str:
        """Return what a topic's retention may cost, and the remedy; empty: nothing."""
        if self.hours is None or not config:
            return ""
        kept_ms, kept_bytes = (
            int(config.get(name, _NO_BOUND)) for name in ("retention.ms", "retention.bytes")
        )
        wanted_ms = self.hours * HOUR_MS
        wanted_bytes = self._partition_bytes(topic, partitions)[0]
        if kept_bytes != wanted_bytes:
            is_less = wanted_bytes == _NO_BOUND or 0 <= kept_bytes < wanted_bytes
            cost = "events may be deleted before they are loaded" if is_less else "the disk may fill"
            return f"has retention.bytes={kept_bytes}: {cost}. Set retention.bytes={wanted_bytes}."
        if 0 <= kept_ms < wanted_ms:
            return (
                f"keeps events for {kept_ms / HOUR_MS:g} hours, and INGEST_RETENTION_HOURS asks for "
                f"{self.hours}. Set retention.ms={wanted_ms}."
            )
        return ""

    def _partition_bytes(self, topic: str, partitions: int) -> tuple[int, int]:
        """Return the bound of a partition, and of its segments."""
        if not self.bytes:
            return _NO_BOUND, _SEGMENT_BYTES_MAX
        quarantine = self.bytes // _QUARANTINE_DIVISOR
        share = (quarantine if topic == topics.QUARANTINE else self.bytes - quarantine) // partitions
        segment = min(max(share // _SEGMENTS, _SEGMENT_BYTES_MIN), _SEGMENT_BYTES_MAX)
        return max(share - segment, segment), segment
