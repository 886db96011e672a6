"""What an operator watches of ingest: counters and gauges under `tapline_ingest_`.

Invariant: every label is bounded: statuses, released schemas and their fields, reasons; never what a sender
chose.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from ingest.delivery.state import State
from runtime.http.protocol import EVICTED, SILENT

_PREFIX = "tapline_ingest"
REASONS = ("not_json", "invalid_field", "time_out_of_range", "content_encoding", "refused", "damaged")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)


class Children(dict[tuple[str, ...], Counter]):
    """Labels -> the counter with them, looked up once each: `labels` checks and locks every time (2 us)."""

    def __init__(self, counter: Counter) -> None:
        super().__init__()
        self._counter = counter

    def __missing__(self, labels: tuple[str, ...]) -> Counter:
        """Return the counter of labels that come for the first time."""
        self[labels] = child = self._counter.labels(*labels)
        return child


class Metrics:
    """The metrics of one ingest process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "POSTs answered, by HTTP status.", "status")
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
            self.quarantined.labels(reason)  # from 0 on: Prometheus cannot tell the rise of what begins at 1
        self.probes = self._counter("probes", "Probes kept apart from all events: see `make doctor`.")
        self.odd_fields = self._counter(
            "odd_fields", "Known fields whose value did not fit their schema.", "event_type", "field"
        )
        self.unknown_fields = self._counter(
            "unknown_fields", "Fields that the released schema does not know, kept in `extra`.", "event_type"
        )
        self.spooled = self._counter("spooled_records", "Records put into the spool.")
        self.drained = self._counter("drained_records", "Spooled records that Kafka has acknowledged.")
        self.refused = self._counter("refused_records", "Records that Kafka will never take, kept elsewhere.")
        self.damaged_bytes = self._counter("spool_damaged_bytes", "Bytes of the spool that cannot be read.")
        self.schemas_refused = self._counter(
            "schemas_refused", "Looks at a changed registry.json that found it of no use."
        )
        self.connections_closed = self._counter(
            "connections_closed", "Connections closed without an answer, by reason.", "reason"
        )
        for reason in (SILENT, EVICTED):
            self.connections_closed.labels(reason)
        self.tokens_refused = self._counter(
            "tokens_refused", "Looks at a changed tokens file that found it unusable."
        )
        self._gauge("started_at_seconds", "When it started: seconds since 1970.").set_to_current_time()
        self.turned_at = self._gauge(
            "turned_at_seconds", "When the publisher looked at Kafka's reports last: seconds since 1970."
        )
        self._state = Gauge(
            f"{_PREFIX}_delivery_state",
            "1 for the state that ingest is in, 0 for the others.",
            ["state"],
            registry=self.registry,
        )
        self._direct = self._gauge("kafka_direct", "1 while records go to Kafka without the spool.")
        self.topic_problems = Gauge(
            f"{_PREFIX}_topic_problems",
            "1: the topic has this problem; 0: it does not; NaN: not known.",
            ("topic", "problem"),
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "Time from the request's last byte to its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def delivery_state(self, current: State) -> None:
        """Publish the state of delivery."""
        for state in State:
            self._state.labels(state.value).set(state is current)
        self._direct.set(current is State.DIRECT)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Publish a gauge that is read when metrics are scraped."""
        self._gauge(name, text).set_function(read)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, registry=self.registry)
