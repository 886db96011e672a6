"""What an operator watches of the loader, under `tapline_warehouse_`; see `kit.serving` for its health.

Invariants: every label is bounded: topics, partitions, reasons, tables. `/healthz`: the loop turns.
`/readyz`: the tables are made and the group has given out its partitions. That ClickHouse is away is a
metric, and no reason for a restart.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from consumers.kit.decode import DAMAGED, INVALID, NO_VALUE, REFUSED, SET_ASIDE, UNKNOWN_SCHEMA, WRONG_TOPIC

_PREFIX = "tapline_warehouse"
_REASONS = (DAMAGED, INVALID, NO_VALUE, REFUSED, SET_ASIDE, UNKNOWN_SCHEMA, WRONG_TOPIC)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of one loader process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.flushes = self._counter("flushes", "Batches inserted, by what made them due.", "reason")
        self.rows = self._counter("rows", "Rows inserted, by table; repeated inserts count again.", "table")
        self.bytes = self._counter("bytes", "Bytes of containers inserted.")
        self.checked = self._counter(
            "checked_records", "Records without a right checksum, decoded one by one."
        )
        self.quarantined = self._counter(
            "quarantined", "Records that went to the quarantine, by reason.", "reason"
        )
        for reason in _REASONS:
            self.quarantined.labels(reason)  # from 0 on: Prometheus cannot tell the rise of what begins at 1
        self.retries = self._counter("retries", "Tries after a transient error, by what failed.", "target")
        self.broken_answers = self._counter(
            "broken_answers", "Answers of a ClickHouse that is there and fails in itself."
        )
        self.refused_inserts = self._counter(
            "refused_inserts", "Inserts that ClickHouse refused for their data."
        )
        self.stuck = self._gauge(
            "stuck", "1 while ClickHouse answers, and an insert fails again and again for one reason."
        )
        self.schemas = self._gauge("schemas", "Releases in use.")
        self.schemas_refused = self._counter(
            "schemas_refused", "Looks at a changed registry.json that found it of no use."
        )
        self.commits_failed = self._counter("commits_failed", "Commits that failed and are tried again.")
        self.lag = self._gauge("lag_records", "Records in Kafka not yet polled.", "topic", "partition")
        self.held_bytes = self._gauge("held_bytes", "Bytes of records in memory: filling and being inserted.")
        self.held_bytes_max = self._gauge("held_bytes_max", "The most that `held_bytes` may reach.")
        self.freshness = self._gauge(
            "freshness_seconds", "Age of the oldest record polled that cannot be queried yet; 0 when all can."
        )
        self._gauge("started_at_seconds", "When it started: seconds since 1970.").set_to_current_time()
        self.turned_at = self._gauge("turned_at_seconds", "When the loop turned last: seconds since 1970.")
        self.turned_at.set_to_current_time()
        self.ready = self._gauge("ready", "1 when tables are made and the group has given out partitions.")
        self.paused = self._gauge("paused", "1 while nothing is fetched because memory is full.")
        self.insert_seconds = Histogram(
            f"{_PREFIX}_insert_seconds",
            "Time of one insert, refused ones too.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
