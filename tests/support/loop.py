"""The loader's loop with stand-ins for Kafka and ClickHouse: no-ops that a test overrides."""

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from consumers.kit.decode import Refusal
from consumers.kit.erasures.follower import NobodyErased
from consumers.kit.group_consumer import GroupConsumer
from consumers.kit.record import Place, Record
from consumers.warehouse.load.batch import Batch, BatchLimits
from consumers.warehouse.load.container import Format
from consumers.warehouse.load.flush import Flusher
from consumers.warehouse.load.inserts import Policy
from consumers.warehouse.load.loader import Bounds, Loader
from consumers.warehouse.load.schema_bindings import CurrentBindings
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.tables import Table
from schemas.catalog.schema_reloader import SchemaReloader

_SCHEMAS = SchemaReloader()
Revoked = Callable[[Sequence[Place]], None]


class StandInStore:
    """A `Warehouse` and a `RefusalStore` that accept everything."""

    tables: tuple[Table, ...] = ()

    def make_tables(self) -> None:
        """Do what `Store` says."""

    def answers(self) -> bool:
        """Do what `Store` says."""
        return True

    def stores_another(self, _form: Format, _day: int | None) -> bool:
        """Do what `Store` says."""
        return True

    def insert(self, _form: Format, _data: bytes) -> None:
        """Do what `Store` says."""

    def write(self, _refusals: Sequence[Refusal]) -> list[Refusal]:
        """Do what `RefusalStore` says."""
        return []


class StandInConsumer:
    """A `GroupConsumer` without records."""

    joined = True

    def __init__(self) -> None:
        self.logs: dict[str, int] = {}
        self.stop: Callable[[], None] = lambda: None  # of the loader

    def poll(self, _seconds_max: float, _records_max: int, _bytes_max: int) -> list[Record]:
        """Do what `GroupConsumer` says."""
        return []

    def pause(self) -> None:
        """Do what `GroupConsumer` says."""

    def resume(self) -> None:
        """Do what `GroupConsumer` says."""

    def commit(self, _offsets: Mapping[Place, int]) -> None:
        """Do what `GroupConsumer` says."""

    def lags(self) -> dict[Place, int]:
        """Do what `GroupConsumer` says."""
        return {}

    def close(self, _seconds_max: float) -> None:
        """Do what `GroupConsumer` says."""


def run_loader(
    make_consumer: Callable[[Revoked], StandInConsumer],
    store: StandInStore,
    limits: BatchLimits,
    share: float,
) -> None:
    """Run a loader until its consumer calls `stop`."""
    made: list[StandInConsumer] = []

    def consumer(revoked: Revoked) -> GroupConsumer:
        made.append(make_consumer(revoked))
        return cast("GroupConsumer", made[0])

    metrics = Metrics()
    schemas = CurrentBindings(_SCHEMAS, metrics)
    flusher = Flusher(store, store, schemas, Policy(0.0, 1000, 0.0), metrics, NobodyErased())
    loader = Loader(
        consumer,
        lambda: Batch(limits, schemas.bindings),
        flusher,
        Bounds(limits.bytes_max, 5.0, share),
        metrics,
    )
    made[0].stop = loader.stop
    loader.run()
