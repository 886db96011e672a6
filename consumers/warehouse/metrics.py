"""The metrics of the loader, under `tapline_warehouse_`; for its health see `kit.metrics_server`.

Invariants: every label is bounded: topics, partitions, reasons, tables. `/healthz`: the loop runs. `/readyz`:
the tables exist and the group has assigned partitions. An outage of ClickHouse is a metric, not a reason for
a restart.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from consumers.kit.decode import DAMAGED, INVALID, NO_VALUE, REFUSED, SET_ASIDE, UNKNOWN_SCHEMA, WRONG_TOPIC
from runtime import certificates, version

_PREFIX = "tapline_warehouse"
_REASONS = (DAMAGED, INVALID, NO_VALUE, REFUSED, SET_ASIDE, UNKNOWN_SCHEMA, WRONG_TOPIC)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one loader process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        version.publish(self.registry)
        self.certificates = certificates.gauge(self.registry)
        self.flushes = self._counter("flushes", "Inserted batches, by reason of the flush.", "reason")
        self.rows = self._counter("rows", "Rows inserted, by table; repeated inserts count again.", "table")
        self.bytes = self._counter("bytes", "Bytes of containers inserted.")
        self.checked = self._counter(
            "checked_records", "Records without a correct checksum, decoded one by one."
        )
        self.quarantined = self._counter(
            "quarantined", "Records sent to the quarantine, by reason.", "reason"
        )
        for reason in _REASONS:
            self.quarantined.labels(reason)  # at 0: Prometheus misses the first rise otherwise
        self.erased_rows = self._counter(
            "erased_rows", "Rows that were not inserted, because they are of somebody erased."
        )
        self.retries = self._counter("retries", "Retries after a transient error, by target.", "target")
        self.broken_answers = self._counter(
            "broken_answers",
            "Answers that report a failure of ClickHouse itself (HTTP 500 without a code; 49, 1001, 1002).",
        )
        self.refused_inserts = self._counter(
            "refused_inserts", "Inserts that ClickHouse rejected because of their data."
        )
        self.stuck = self._gauge(
            "stuck", "1 while ClickHouse answers but an insert keeps failing for one reason."
        )
        self.schemas = self._gauge("schemas", "Schema releases in use.")
        self.schemas_refused = self._counter("schemas_refused", "Failed reloads of registry.json.")
        self.commits_failed = self._counter("commits_failed", "Failed commits, which are retried.")
        self.lag = self._gauge(
            "lag_records", "Records in Kafka that are not polled yet.", "topic", "partition"
        )
        self.held_bytes = self._gauge(
            "held_bytes", "Bytes of records in memory: batches being filled and inserted."
        )
        self.held_bytes_max = self._gauge("held_bytes_max", "Limit of `held_bytes`.")
        self.freshness = self._gauge(
            "freshness_seconds",
            "Age of the oldest polled record that cannot be queried yet; 0 if there is none.",
        )
        self._gauge("started_at_seconds", "Start of the process: seconds since 1970.").set_to_current_time()
        self.turned_at = self._gauge("turned_at_seconds", "Last turn of the loop: seconds since 1970.")
        self.turned_at.set_to_current_time()
        self.ready = self._gauge("ready", "1 once the tables exist and the group has assigned partitions.")
        self.paused = self._gauge("paused", "1 while fetching is paused because memory is full.")
        self.insert_seconds = Histogram(
            f"{_PREFIX}_insert_seconds",
            "Duration of one insert, including rejected ones.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
