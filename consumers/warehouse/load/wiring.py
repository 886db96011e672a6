"""Settings and schemas -> the assembled parts of a loader, for `__main__`, `reconcile` and `replay`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from consumers.kit.erasures.follower import ErasureFollower
from consumers.kit.group_consumer import GroupConsumer, Membership
from consumers.kit.quarantine import QuarantineWriter
from consumers.kit.record import Record
from consumers.warehouse.clickhouse import ClickHouseStore
from consumers.warehouse.load.batch import Batch, BatchLimits
from consumers.warehouse.load.flush import Flusher
from consumers.warehouse.load.inserts import Policy
from consumers.warehouse.load.loader import Bounds, Loader
from consumers.warehouse.load.schema_bindings import CurrentBindings, SchemaBindings
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.settings import Settings
from runtime import certificates
from runtime.kafka import log_ids, topics
from schemas.catalog.schema_reloader import SchemaReloader

# Records that are read again are of many days, and a batch makes a part for each day and type. No other batch
# fills meanwhile, as it does in the loop.
_LARGER = 2
_REQUEST_SECONDS_MAX = 10.0


class LoaderParts:
    """Everything of a loader but its loop; it connects to nothing before it is used."""

    def __init__(self, settings: Settings, reloader: SchemaReloader) -> None:
        self.metrics = Metrics()
        url = settings.clickhouse_url.get_secret_value()
        certificates.watch_files(self.metrics.certificates, settings.kafka, settings.schema_registry, url)
        self.schemas = CurrentBindings(reloader, self.metrics)
        self.erasures = ErasureFollower(settings.kafka, settings.group, settings.erasure_key)
        self._limits = BatchLimits(
            settings.batch_rows_max, settings.batch_bytes_max, settings.batch_age_seconds_max
        )
        self.warehouse = ClickHouseStore(
            url,
            self.bindings.tables,
            settings.table_options,
            settings.insert_seconds_max,
            lambda: log_ids.read(settings.kafka, topics.ALL, _REQUEST_SECONDS_MAX).logs,
        )
        self.flusher = Flusher(
            self.warehouse,
            QuarantineWriter(settings.kafka, reloader),
            self.schemas,
            Policy(
                settings.retry_seconds_max,
                settings.refused_rows_max,
                settings.schema_seconds_max,
                settings.stuck_seconds_max,
            ),
            self.metrics,
            self.erasures,
        )

    @property
    def bindings(self) -> SchemaBindings:
        """The bindings of the catalog in use."""
        return self.schemas.bindings

    def make_batch(self) -> Batch:
        """Return an empty batch."""
        return Batch(self._limits, self.bindings)

    def _make_larger_batch(self) -> Batch:
        limits = BatchLimits(
            _LARGER * self._limits.rows_max, _LARGER * self._limits.bytes_max, self._limits.age_seconds_max
        )
        return Batch(limits, self.bindings)

    def load(self, records: Iterable[Sequence[Record]], logs: Mapping[str, int]) -> Iterator[int]:
        """Load records of `logs` that were read outside the group; yield the number of rows in each batch.

        Raises: TransientError, TooManyRefusedError.
        """
        self.flusher.make_tables()
        batch = self._make_larger_batch()
        for some in records:
            batch.add(some, 0.0, logs)
            if batch.full:
                self.flusher.write(batch)
                yield batch.rows
                batch = self._make_larger_batch()
        self.flusher.write(batch)
        yield batch.rows


def make_loader(settings: Settings, parts: LoaderParts) -> Loader:
    """Return a loader that has joined the group."""
    on_commit_failed = parts.metrics.commits_failed.inc
    return Loader(
        lambda on_revoked: GroupConsumer(
            settings.kafka, Membership(settings.group), on_revoked, on_commit_failed
        ),
        parts.make_batch,
        parts.flusher,
        Bounds(settings.batch_bytes_max, settings.shutdown_seconds_max, settings.insert_share_max),
        parts.metrics,
    )
