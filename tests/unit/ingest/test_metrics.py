"""Counters and durations are plain numbers, and Prometheus reads them as its own."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from ingest.metrics import Metrics


def test_labelled_counts_are_read_at_each_scrape() -> None:
    """Labels may be numbers; a label that never occurred has no line."""
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    metrics.requests[200,] += 1
    metrics.requests[200,] += 1
    metrics.odd_fields["AppOpened", 'a"b'] += 3

    assert value("tapline_ingest_requests_total", {"status": "200"}) == 2
    assert value("tapline_ingest_odd_fields_total", {"event_type": "AppOpened", "field": 'a"b'}) == 3
    assert value("tapline_ingest_requests_total", {"status": "404"}) is None
    metrics.requests[200,] += 1
    assert value("tapline_ingest_requests_total", {"status": "200"}) == 3


def test_reasons_start_at_zero() -> None:
    """Prometheus cannot see the rise of a counter that starts at 1."""
    value = Metrics().registry.get_sample_value

    assert value("tapline_ingest_requests_total", {"status": "200"}) == 0
    assert value("tapline_ingest_quarantined_total", {"reason": "not_json"}) == 0
    assert value("tapline_ingest_connections_closed_total", {"reason": "silent"}) == 0


@pytest.mark.parametrize("seconds", [(), (0.0, 0.001), (0.0011, 0.3, 0.3, 2.999, 3.0, 3.1, 100.0)])
def test_the_page_is_the_one_of_prometheus_clients_own_types(seconds: tuple[float, ...]) -> None:
    """Bounds are inclusive, and buckets cumulative."""
    metrics, registry = Metrics(), CollectorRegistry()
    buckets = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0)
    text = "Time from the request's last byte to its answer."
    own = Histogram("tapline_ingest_request_seconds", text, buckets=buckets, registry=registry)
    help_text = "Answers of the public port, by HTTP status."
    counter = Counter("tapline_ingest_requests", help_text, ["status"], registry=registry)
    for one in seconds:
        metrics.request_seconds.observe(one)
        own.observe(one)
        metrics.requests[200,] += 1
        counter.labels("200").inc()

    assert set(generate_latest(registry).splitlines()) <= set(generate_latest(metrics.registry).splitlines())
