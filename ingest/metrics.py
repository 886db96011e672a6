"""The metrics of ingest: counters and gauges under `tapline_ingest_`.

Invariant: every label is bounded: statuses, released schemas and their fields, reasons; never a sender's
text.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from ingest.delivery.state import DeliveryState
from runtime.http.protocol import EVICTED, SILENT

_PREFIX = "tapline_ingest"
REASONS = ("not_json", "invalid_field", "time_out_of_range", "content_encoding", "refused", "damaged")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)


class Children(dict[tuple[str, ...], Counter]):
    """Labels -> their counter, cached because `labels` checks and locks every time (2 us)."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter

    def __missing__(self, labels: tuple[str, ...]) -> Counter:
        """Create the counter on first use."""
        self[labels] = child = self._counter.labels(*labels)
        return child


class Metrics:
    """The metrics of one ingest process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answers of the public port, by HTTP status.", "status")
        self.admin_refused = self._counter(
            "admin_refused", "Requests to the admin port that no route answered, by HTTP status.", "status"
        )
        self.events = self._counter(
            "events",
            "Events acknowledged to the sender, by released schema and where they were kept.",
            "event_type",
            "kept",
        )
        self.quarantined = self._counter("quarantined", "Bodies kept in the quarantine, by reason.", "reason")
        for reason in REASONS:
            self.quarantined.labels(reason)  # at 0: Prometheus misses the first rise otherwise
        self.probes = self._counter("probes", "Probes, which are kept apart from events: see `make doctor`.")
        self.odd_fields = self._counter(
            "odd_fields", "Known fields whose value did not fit their schema.", "event_type", "field"
        )
        self.unknown_fields = self._counter(
            "unknown_fields", "Fields that the released schema does not know, kept in `extra`.", "event_type"
        )
        self.spooled = self._counter("spooled_records", "Records written to the spool.")
        self.drained = self._counter("drained_records", "Spooled records that Kafka has acknowledged.")
        self.refused = self._counter(
            "refused_records", "Records that Kafka refuses for good, kept elsewhere."
        )
        self.damaged_bytes = self._counter("spool_damaged_bytes", "Bytes of the spool that cannot be read.")
        self.schemas_refused = self._counter("schemas_refused", "Failed reloads of registry.json.")
        self.connections_closed = self._counter(
            "connections_closed",
            "Connections closed without an answer, by reason (silent, evicted).",
            "reason",
        )
        for reason in (SILENT, EVICTED):
            self.connections_closed.labels(reason)
        self.tokens_refused = self._counter("tokens_refused", "Failed reloads of the tokens file.")
        self._gauge("started_at_seconds", "Start of the process: seconds since 1970.").set_to_current_time()
        self.turned_at = self._gauge(
            "turned_at_seconds", "Last check of Kafka's acknowledgements: seconds since 1970."
        )
        self._state = Gauge(
            f"{_PREFIX}_delivery_state",
            "1 for the current state of delivery, 0 for the others.",
            ["state"],
            registry=self.registry,
        )
        self._direct = self._gauge("kafka_direct", "1 while records go to Kafka without the spool.")
        self.topic_problems = Gauge(
            f"{_PREFIX}_topic_problems",
            "1: the topic has this problem; 0: it does not; NaN: unknown.",
            ("topic", "problem"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "Time from the request's last byte to its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def delivery_state(self, current: DeliveryState) -> None:
        """Publish the state of delivery."""
        for state in DeliveryState:
            self._state.labels(state.value).set(state is current)
        self._direct.set(current is DeliveryState.DIRECT)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Publish a gauge whose value is read at each scrape."""
        self._gauge(name, text).set_function(read)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, registry=self.registry)
