"""What an operator watches of the live page: counters and gauges under `tapline_live_`.

Invariant: every label is bounded: names of components and of our own queries.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PREFIX = "tapline_live"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one live page process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.pages = Gauge(f"{_PREFIX}_pages", "Pages connected now.", registry=self.registry)
        self.states = Counter(f"{_PREFIX}_states", "States sent to all pages.", registry=self.registry)
        self.skipped = Counter(
            f"{_PREFIX}_skipped_states",
            "States that a page was too slow to take; it got the next one instead.",
            registry=self.registry,
        )
        self.looks = Counter(
            f"{_PREFIX}_looks",
            "Looks at a component, by component and result (ok, failed).",
            ("component", "result"),
            registry=self.registry,
        )
        self.look_seconds = Histogram(
            f"{_PREFIX}_look_seconds",
            "Time a look took, by component.",
            ("component",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.freshness = Gauge(
            f"{_PREFIX}_freshness_seconds",
            "Age of the oldest acknowledged event that can't be queried yet; 0: none; NaN: not known.",
            registry=self.registry,
        )
        self.schemas = Gauge(f"{_PREFIX}_schemas", "Releases in use.", registry=self.registry)
        self.schemas_refused = Counter(
            f"{_PREFIX}_schemas_refused",
            "Looks at a changed registry.json that found it of no use.",
            registry=self.registry,
        )
        self.replays = Counter(
            f"{_PREFIX}_replays",
            "Replays that the page began, by how they ended (done, stays, failed).",
            ("result",),
            registry=self.registry,
        )
        self.up = Gauge(
            f"{_PREFIX}_component_up",
            "1 while a component answers, by component.",
            ("component",),
            registry=self.registry,
        )
