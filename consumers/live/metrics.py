"""The metrics of the live page: counters and gauges under `tapline_live_`.

Invariant: every label is bounded: names of components and of our own queries; the ids of LIVE_APPS_MAX apps.
"""

from math import nan

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumers.live.answers import ClickHouseStatus
from consumers.live.certificate import CertificateStatus
from consumers.live.state import KAFKA, ComponentHealth, PageSnapshot
from runtime import certificates, version

_PREFIX = "tapline_live"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one live page process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        version.publish(self.registry)
        self.certificates = certificates.gauge(self.registry)
        self.pages = Gauge(f"{_PREFIX}_pages", "Connected pages.", registry=self.registry)
        self.states = Counter(f"{_PREFIX}_states", "States sent to all pages.", registry=self.registry)
        self.skipped = Counter(
            f"{_PREFIX}_skipped_states",
            "States that a slow page skipped; it got a later one instead.",
            registry=self.registry,
        )
        self.polls = Counter(
            f"{_PREFIX}_looks",
            "Polls of a component, by component and result (ok, failed).",
            ("component", "result"),
            registry=self.registry,
        )
        self.look_seconds = Histogram(
            f"{_PREFIX}_look_seconds",
            "Duration of a poll, by component.",
            ("component",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.freshness = Gauge(
            f"{_PREFIX}_freshness_seconds",
            "Age of the oldest acknowledged event that can't be queried yet; 0: none; NaN: unknown.",
            registry=self.registry,
        )
        self._gauge("started_at_seconds", "Start of the process: seconds since 1970.").set_to_current_time()
        self.freshness_at = self._gauge(
            "freshness_at_seconds",
            "Time of that freshness, the older one of Kafka's and ingest's: seconds since 1970.",
        )
        self.freshness_at.set_to_current_time()  # not polled since the start
        self.schemas = Gauge(f"{_PREFIX}_schemas", "Schema releases in use.", registry=self.registry)
        self.schemas_refused = Counter(
            f"{_PREFIX}_schemas_refused",
            "Failed reloads of registry.json.",
            registry=self.registry,
        )
        self.replays = Counter(
            f"{_PREFIX}_replays",
            "Replays started by the page, by result (done, stays, failed).",
            ("result",),
            registry=self.registry,
        )
        self.up = Gauge(
            f"{_PREFIX}_component_up",
            "1 while a component answers, by component.",
            ("component",),
            registry=self.registry,
        )
        self.lag = self._gauge("lag_records", "Records in Kafka that are not loaded; NaN: unknown.")
        self.unloaded_ratio = self._gauge(
            "unloaded_ratio",
            "Largest share of a partition's records that is not loaded, where Kafka has begun to delete; "
            "from 1 on, it deletes such records. NaN: unknown.",
        )
        self.app_events = self._gauge(
            "app_events", "Events of an app within the last LIVE_SILENT_MINUTES, by their own time.", "app_id"
        )
        self.app_events_usual = self._gauge(
            "app_events_usual", "Minimum of the same minutes of the last seven days.", "app_id"
        )
        self.disk_free = self._gauge("clickhouse_disk_free_bytes", "Free bytes on ClickHouse's fullest disk.")
        self.disk = self._gauge("clickhouse_disk_bytes", "Size of ClickHouse's fullest disk.")
        self.certificate_valid = self._gauge(
            "certificate_valid", "1 if the certificate of TAPLINE_PUBLIC_URL is valid; NaN: not checked."
        )
        self.certificate_expires_at = self._gauge(
            "certificate_expires_at_seconds", "Expiry of that certificate: seconds since 1970; NaN: unknown."
        )
        for gauge in (self.freshness, self.lag, self.unloaded_ratio, self.disk_free, self.disk):
            gauge.set(nan)
        self.show_certificate(None)

    def show(self, state: PageSnapshot, tables: ClickHouseStatus) -> None:
        """Publish the numbers of the page, and others for alerts."""
        age_ms = state.freshness.age_ms
        self.freshness.set(nan if age_ms is None else age_ms / 1000)
        if state.freshness.as_of_ms is not None:
            self.freshness_at.set(state.freshness.as_of_ms / 1000)
        answers = any(one.name == KAFKA and one.health is ComponentHealth.UP for one in state.components)
        self.lag.set(state.lag.records if state.lag and answers else nan)
        self.unloaded_ratio.set(state.lag.unloaded_ratio if state.lag and answers else nan)
        self.disk_free.set(nan if tables.disk is None else tables.disk.free_bytes)
        self.disk.set(nan if tables.disk is None else tables.disk.bytes)
        self.app_events.clear()
        self.app_events_usual.clear()
        for app in tables.apps:
            self.app_events.labels(app.app_id).set(app.events)
            self.app_events_usual.labels(app.app_id).set(app.events_usual)

    def show_certificate(self, seen: CertificateStatus | None) -> None:
        """Publish the result of a certificate check; None: not checked."""
        self.certificate_valid.set(nan if seen is None else not seen.fault)
        expires_at = None if seen is None else seen.expires_at_seconds
        self.certificate_expires_at.set(nan if expires_at is None else expires_at)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, labels, registry=self.registry)
