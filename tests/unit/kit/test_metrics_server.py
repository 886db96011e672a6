"""The port of a consumer's metrics."""

import pytest
from prometheus_client import CollectorRegistry

from consumers.kit.metrics_server import ListenAddress, serve
from tests.support.stack import free_pairs
from tests.support.web import WEB


@pytest.fixture
def url() -> str:
    """A server on a loopback address, until this process ends."""
    (port,) = free_pairs(1)
    serve(
        CollectorRegistry(),
        ListenAddress("127.0.0.1", port, "KIT_METRICS_PORT"),
        lambda: True,
        lambda: False,
        lambda: "Kafka is away",
    )
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("host", ["rebound.example", "rebound.example:8082", "10.0.0.1", "localhost.example"])
def test_a_loopback_port_answers_to_no_other_name(url: str, host: str) -> None:
    """A site may point its name at 127.0.0.1, but the browser still sends that name."""
    for path in ("/metrics", "/healthz"):
        assert WEB.get(url + path, headers={"host": host}).status_code == 403


def test_a_page_of_another_site_is_refused(url: str) -> None:
    """A browser reports it, whatever name it used."""
    for site, status in {"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200}.items():
        assert WEB.get(f"{url}/metrics", headers={"sec-fetch-site": site}).status_code == status


@pytest.mark.parametrize("host", ["localhost:8082", "127.0.0.1", "[::1]:8082"])
def test_a_loopback_port_answers_to_its_own_names(url: str, host: str) -> None:
    """The names that Prometheus and probes use."""
    assert WEB.get(f"{url}/metrics", headers={"host": host}).status_code == 200
    answer = WEB.get(f"{url}/readyz", headers={"host": host})
    assert (answer.status_code, answer.text) == (503, "not yet: Kafka is away\n")
