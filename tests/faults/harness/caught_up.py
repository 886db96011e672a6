"""A healed world -> the remaining backlog: spooled records, and records not loaded yet.

Source: ingest's metrics; the group's committed offsets, which the loader moves only after an insert.
"""

from typing import Protocol

from consumers.warehouse.repair.offset_reader import OffsetReader

_GROUP = "tapline.warehouse"


class Metered(Protocol):
    """A stack whose ingests and Kafka can be queried."""

    @property
    def kafka_properties(self) -> dict[str, str]:
        """Properties of Kafka's clients."""

    def metric(self, name: str) -> float:
        """Return the sum of a metric of all ingests. Raises: httpx.HTTPError."""


class CaughtUp:
    """Queries ingest and Kafka."""

    def __init__(self, world: Metered) -> None:
        self._world = world
        self._kafka = OffsetReader(world.kafka_properties, _GROUP)

    def what_lags(self) -> str:
        """Describe the backlog; empty if there is none. Raises: httpx.HTTPError, TransientError."""
        if spooled := self._world.metric("tapline_ingest_spool_bytes"):
            return f"{spooled:.0f} bytes are spooled"
        if not self._world.metric("tapline_ingest_kafka_direct"):
            return "ingest sends to the spool"
        logs = self._kafka.logs().items()
        lags = {f"{topic}/{number}": log.high - log.committed for (topic, number), log in logs}
        behind = {place: lag for place, lag in lags.items() if lag}
        return f"records not loaded: {behind}" if behind else ""
