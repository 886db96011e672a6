"""Refusals are counted and logged, at a limited rate and without secrets."""

import logging

import pytest

from ingest.http.refusals import Refusals, redacted
from ingest.metrics import Metrics

RANDOM = "AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", "/"),
        ("/metrics", "/metrics"),
        (f"/tapcart_webhook/{RANDOM}", "/tapcart_webhook/<32 characters>"),
        (f"/Tapcart-Webhooks/{RANDOM}", "/Tapcart-Webhooks/<32 characters>"),
        (f"/tapcart_webhooks{RANDOM}", "/<48 characters>"),
        (f"/{RANDOM}", "/<32 characters>"),
        (f"/{RANDOM[:16]}/{RANDOM[16:]}", "/<16 characters>/<16 characters>"),
        (f"/tapcart_webhooks/{RANDOM}/x", "/tapcart_webhooks/<32 characters>/x"),
        ("/a" * 1000, "/a/a/a/a/a/a/..."),
        ("/" + "x" * 100_000, "/<100000 characters>"),
    ],
)
def test_a_path_is_shown_without_what_may_be_a_token(path: str, shown: str) -> None:
    """Typos are visible, but the log gives no reader a token."""
    assert redacted(path) == shown


def test_lines_are_bounded_and_counts_are_not(caplog: pytest.LogCaptureFixture) -> None:
    """Ten lines a minute; the next line reports how many were left out."""
    metrics, now = Metrics(), 0.0
    refusals = Refusals(metrics.requests, lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            refusals.note(404, "wrong_path", path="/")
        now = 61.0
        refusals.note(405, "wrong_method")

    lines = [(line.getMessage(), vars(line)["status"], vars(line)["left_out"]) for line in caplog.records]
    assert lines == [*[("wrong_path", 404, 0)] * 10, ("wrong_method", 405, 990)]
    assert metrics.registry.get_sample_value("tapline_ingest_requests_total", {"status": "404"}) == 1000
    assert metrics.registry.get_sample_value("tapline_ingest_requests_total", {"status": "405"}) == 1
