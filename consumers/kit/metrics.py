"""The metrics of a consumer of the kit, under `tapline_kit_`.

Invariant: every label is bounded: partitions, reasons, names of releases.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from runtime import certificates, version

_PREFIX = "tapline_kit"


class Metrics:
    """The metrics of one consumer."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        version.publish(self.registry)
        self.certificates = certificates.gauge(self.registry)
        self.events = self._counter("events", "Events passed to the loop, by schema.", "event_type")
        self.passed = self._counter(
            "passed_records", "Records skipped by the filter, or because they are of somebody erased."
        )
        self.quarantined = self._counter(
            "quarantined", "Invalid records sent to the quarantine, by reason.", "reason"
        )
        self.retries = self._counter("retries", "Retries after a transient error, by target.", "target")
        self.commits_failed = self._counter("commits_failed", "Failed commits, which are retried.")
        self.lag = self._gauge("lag_records", "Records in Kafka that are not polled yet.", "partition")
        self._gauge("started_at_seconds", "Start of the process: seconds since 1970.").set_to_current_time()
        self.read_until = self._gauge(
            "read_until_seconds",
            "Moment until which all received events were polled, at the last query: seconds since 1970.",
        )
        self.turned_at = self._gauge("turned_at_seconds", "Last poll of Kafka: seconds since 1970.")
        self.turned_at.set_to_current_time()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
