"""A world that is healed -> what still has a way to go: records in the spool, records not yet loaded.

Source: ingest's metrics; the group's committed offsets, which the loader moves only after the insert.
"""

from consumers.warehouse.repair.offset_reader import OffsetReader
from tests.faults.harness.world import World

_GROUP = "tapline.warehouse"


class CaughtUp:
    """Asks ingest and Kafka."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._kafka = OffsetReader({"bootstrap.servers": world.kafka_servers, "log_level": "0"}, _GROUP)

    def what_lags(self) -> str:
        """Return a sentence, empty when nothing does. Raises: httpx.HTTPError, TransientError."""
        if spooled := self._world.metric("tapline_ingest_spool_bytes"):
            return f"{spooled:.0f} bytes are spooled"
        if not self._world.metric("tapline_ingest_kafka_direct"):
            return "ingest sends to the spool"
        logs = self._kafka.logs().items()
        lags = {f"{topic}/{number}": log.high - log.committed for (topic, number), log in logs}
        behind = {place: lag for place, lag in lags.items() if lag}
        return f"records not loaded: {behind}" if behind else ""
