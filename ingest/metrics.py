"""The metrics of ingest: counters and gauges under `tapline_ingest_`.

Invariant: every label is bounded: statuses, released schemas and their fields, reasons; never a sender's
text.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from ingest.delivery.state import DeliveryState
from runtime import certificates, version
from runtime.http.gate import EVICTED, SILENT

_PREFIX = "tapline_ingest"
REASONS = ("not_json", "invalid_field", "time_out_of_range", "content_encoding", "refused", "damaged")
_STATUSES = (200, 400, 422, 500)  # the usual ones
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)


class Counts(dict[tuple[str | int, ...], int]):
    """A counter with labels: `counts[labels] += 1`. Prometheus reads the numbers at each scrape.

    prometheus_client's own counter checks and locks at each increment, which takes 2 us.
    """

    def __init__(self, name: str, text: str, *labels: str) -> None:
        super().__init__()
        self._new = partial(CounterMetricFamily, name, text, labels=labels)

    def __missing__(self, labels: tuple[str | int, ...]) -> int:
        """Count from 0."""
        return 0

    def family(self) -> CounterMetricFamily:
        """Return the numbers."""
        family = self._new()
        for labels, number in self.items():
            family.add_metric([*map(str, labels)], number)
        return family


class Durations:
    """A histogram of seconds, read at each scrape as `Counts`."""

    def __init__(self, name: str, text: str) -> None:
        self._new = partial(HistogramMetricFamily, name, text)
        self._counts = [0] * (len(_SECONDS) + 1)  # by bucket; the last one has no bound
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Add one duration."""
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def family(self) -> HistogramMetricFamily:
        """Return the buckets."""
        bounds = [*map(str, _SECONDS), "+Inf"]
        family = self._new()
        family.add_metric([], [*zip(bounds, accumulate(self._counts), strict=True)], self._sum)
        return family


class Metrics:
    """The metrics of one ingest process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        version.publish(self.registry)
        self.certificates = certificates.gauge(self.registry)
        self._plain: list[Counts | Durations] = []
        self.registry.register(self)
        self.requests = self._counts("requests", "Answers of the public port, by HTTP status.", "status")
        for status in _STATUSES:
            self.requests[status,] = 0  # Prometheus misses the first rise otherwise
        self.admin_refused = self._counts(
            "admin_refused", "Requests to the admin port that no route answered, by HTTP status.", "status"
        )
        self.events = self._counts(
            "events",
            "Events acknowledged to the sender, by released schema and where they were kept.",
            "event_type",
            "kept",
        )
        self.quarantined = self._counts("quarantined", "Bodies kept in the quarantine, by reason.", "reason")
        for reason in REASONS:
            self.quarantined[reason,] = 0
        self.probes = self._counter("probes", "Probes, which are kept apart from events: see `make doctor`.")
        self.odd_fields = self._counts(
            "odd_fields", "Known fields whose value did not fit their schema.", "event_type", "field"
        )
        self.unknown_fields = self._counts(
            "unknown_fields", "Fields that the released schema does not know, kept in `extra`.", "event_type"
        )
        self.spooled = self._counter("spooled_records", "Records written to the spool.")
        self.drained = self._counter("drained_records", "Spooled records that Kafka has acknowledged.")
        self.refused = self._counter(
            "refused_records", "Records that Kafka refuses for good, kept elsewhere."
        )
        self.damaged_bytes = self._counter("spool_damaged_bytes", "Bytes of the spool that cannot be read.")
        self.schemas_refused = self._counter("schemas_refused", "Failed reloads of registry.json.")
        self.connections_closed = self._counts(
            "connections_closed",
            "Connections closed without an answer, by reason (silent, evicted).",
            "reason",
        )
        for reason in (SILENT, EVICTED):
            self.connections_closed[reason,] = 0
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
        self.request_seconds = Durations(
            f"{_PREFIX}_request_seconds", "Time from the request's last byte to its answer."
        )
        self._plain.append(self.request_seconds)

    def collect(self) -> Iterator[Metric]:
        """Return the counts and durations; the registry calls this at each scrape."""
        return (plain.family() for plain in self._plain)

    def delivery_state(self, current: DeliveryState) -> None:
        """Publish the state of delivery."""
        for state in DeliveryState:
            self._state.labels(state.value).set(state is current)
        self._direct.set(current is DeliveryState.DIRECT)

    def connection_closed(self, reason: str) -> None:
        """Count a connection that was closed without an answer."""
        self.connections_closed[reason,] += 1

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Publish a gauge whose value is read at each scrape."""
        self._gauge(name, text).set_function(read)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, registry=self.registry)

    def _counts(self, name: str, text: str, *labels: str) -> Counts:
        counts = Counts(f"{_PREFIX}_{name}", text, *labels)
        self._plain.append(counts)
        return counts

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, registry=self.registry)
