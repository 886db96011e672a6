"""Settings and schemas -> the loader's parts, put together, for `__main__`, `reconcile` and `replay`."""

from collections.abc import Iterable, Iterator, Sequence

from consumers.kit.group_consumer import Membership, Source
from consumers.kit.quarantine import Quarantine
from consumers.kit.record import Record
from consumers.warehouse.clickhouse import ClickHouse
from consumers.warehouse.load.batch import Batch, Limits
from consumers.warehouse.load.flush import Flusher
from consumers.warehouse.load.inserts import Policy
from consumers.warehouse.load.loader import Bounds, Loader
from consumers.warehouse.load.schema_bindings import Contract, Terms
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.settings import Settings
from schemas.catalog.schema_reloader import Current


class Parts:
    """Everything of a loader but its loop; connects to nothing before it is used."""

    def __init__(self, settings: Settings, current: Current) -> None:
        self.metrics = Metrics()
        self.contract = Contract(current, self.metrics)
        self._limits = Limits(
            settings.batch_rows_max, settings.batch_bytes_max, settings.batch_age_seconds_max
        )
        self.warehouse = ClickHouse(
            settings.clickhouse_url.get_secret_value(),
            self.terms.tables,
            settings.table_options,
            settings.insert_seconds_max,
        )
        self.flusher = Flusher(
            self.warehouse,
            Quarantine(settings.kafka, current),
            self.contract,
            Policy(
                settings.retry_seconds_max,
                settings.refused_rows_max,
                settings.schema_seconds_max,
                settings.stuck_seconds_max,
            ),
            self.metrics,
        )

    @property
    def terms(self) -> Terms:
        """What is made of the catalog in use."""
        return self.contract.terms

    def make_batch(self) -> Batch:
        """Return an empty batch."""
        return Batch(self._limits, self.terms.formats, self.terms.check)

    def load(self, records: Iterable[Sequence[Record]]) -> Iterator[int]:
        """Load records that were read outside the group; yield how many with each batch.

        Raises: TransientError, TooManyRefusedError.
        """
        self.flusher.make_tables()
        batch = self.make_batch()
        for some in records:
            batch.add(some, 0.0)
            if batch.full:
                self.flusher.write(batch)
                yield batch.rows
                batch = self.make_batch()
        self.flusher.write(batch)
        yield batch.rows


def make_loader(settings: Settings, parts: Parts) -> Loader:
    """Return a loader that has joined the group."""
    on_commit_failed = parts.metrics.commits_failed.inc
    return Loader(
        lambda on_revoked: Source(settings.kafka, Membership(settings.group), on_revoked, on_commit_failed),
        parts.make_batch,
        parts.flusher,
        Bounds(settings.batch_bytes_max, settings.shutdown_seconds_max),
        parts.metrics,
    )
