"""Settings and schemas -> the loader's parts, put together, for `__main__` and for `reconcile --repair`."""

from collections.abc import Iterable, Iterator, Sequence

from consumers.warehouse import tables
from consumers.warehouse.batch import Batch, Formats, Limits
from consumers.warehouse.clickhouse import ClickHouse
from consumers.warehouse.container import format_of
from consumers.warehouse.flush import Flusher, Policy
from consumers.warehouse.foreign import Check
from consumers.warehouse.loader import Bounds, Loader
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.quarantine import Quarantine
from consumers.warehouse.record import Record
from consumers.warehouse.settings import Settings
from consumers.warehouse.source import Source
from consumers.warehouse.tables import Options
from schemas.catalog import Catalog


class Parts:
    """Everything of a loader but its loop; connects to nothing before it is used."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self.metrics = Metrics()
        by_id = {release.wire_id: format_of(release) for release in catalog.releases}
        self.formats = Formats(by_id.values(), by_id[catalog.quarantine.wire_id].prefix)
        self.check = Check(catalog, by_id)
        self._limits = Limits(
            settings.batch_rows_max, settings.batch_bytes_max, settings.batch_age_seconds_max
        )
        self.warehouse = ClickHouse(
            settings.clickhouse_url.get_secret_value(),
            tables.tables(catalog),
            Options(settings.ttl_days, settings.settle_seconds, settings.cluster),
            settings.insert_seconds_max,
        )
        self.flusher = Flusher(
            self.warehouse,
            Quarantine(settings.kafka, catalog),
            self.check,
            Policy(settings.retry_seconds_max, settings.refused_rows_max),
            self.metrics,
        )

    def make_batch(self) -> Batch:
        """Return an empty batch."""
        return Batch(self._limits, self.formats, self.check)

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
        lambda on_revoked: Source(settings.kafka, settings.group, on_revoked, on_commit_failed),
        parts.make_batch,
        parts.flusher,
        Bounds(settings.batch_bytes_max, settings.shutdown_seconds_max),
        parts.metrics,
    )
