"""The expiry of certificates is a metric: of files, and of what servers show."""

import os
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumers.live import certificate
from deploy.security import certificates as issued
from runtime import certificates, tls
from runtime.certificates import CertificateFile
from runtime.command import CommandError
from runtime.tls import ServerAddress
from tests.support.tls import Authority, tls_front


def days_left(seconds: float) -> int:
    """Return the whole days until then."""
    return (datetime.fromtimestamp(seconds, UTC) - datetime.now(UTC)).days


def test_the_earliest_expiry_of_a_file_counts(tmp_path: Path) -> None:
    """A renewed file shows without a restart; a missing one and the system's authorities are unknown."""
    authority = Authority(tmp_path)
    path = tmp_path / "both.pem"
    path.write_bytes(authority.issue(40).read_bytes() + authority.issue(20).read_bytes())
    file = CertificateFile(path)

    assert days_left(file()) == 20
    path.write_bytes(authority.issue(-3).read_bytes())
    os.utime(path, (1, 1))
    assert days_left(file()) == -3
    path.write_bytes(authority.path.read_bytes() * 11)
    assert isnan(file())
    path.write_text("no certificate")
    assert isnan(file())
    path.unlink()
    assert isnan(file())


def test_every_file_of_a_setting_is_watched(tmp_path: Path) -> None:
    """Of Kafka, the registry and ClickHouse."""
    path, registry = str(Authority(tmp_path).path), CollectorRegistry()
    certificates.watch_files(
        certificates.gauge(registry),
        {"ssl.ca.location": path, "ssl.certificate.location": path, "bootstrap.servers": "kafka:9093"},
        {"ssl.ca.location": path, "url": "https://registry"},
        f"https://loader@click:8443/?ca_cert={path}",
    )
    (metric,) = registry.collect()

    assert {one.labels["certificate"]: days_left(one.value) for one in metric.samples} == {
        "KAFKA_SSL_CA_LOCATION": 365,
        "KAFKA_SSL_CERTIFICATE_LOCATION": 365,
        "SCHEMA_REGISTRY_SSL_CA_LOCATION": 365,
        "CLICKHOUSE_URL": 365,
    }


def test_the_page_checks_what_servers_show(tmp_path: Path) -> None:
    """As their clients do: what these would refuse is unknown, and has alerts of its own."""
    authority, another = Authority(tmp_path), tmp_path / "another"
    another.mkdir()
    with tls_front(authority.issue(9), 9) as port:
        kafka = {
            "bootstrap.servers": f"127.0.0.1:9,localhost:{port}",
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(authority.path),
        }
        url = f"https://localhost:{port}/?ca_cert={authority.path}"
        found = certificate.of_servers(kafka, url)
        refused = certificate.of_servers(
            kafka | {"ssl.ca.location": str(Authority(another).path)}, f"https://localhost:{port}"
        )

    assert {name: days_left(at) for name, at in found.items()} == {"kafka": 9, "clickhouse": 9}
    assert [*map(isnan, refused.values())] == [True, True]
    assert certificate.of_servers(kafka | {"security.protocol": "PLAINTEXT"}, "http://localhost") == {}


def test_issued_certificates_are_accepted_and_renewed(tmp_path: Path) -> None:
    """By name and address, also by strict checks; the second call keeps the authority."""
    path = issued.issue(tmp_path, "kafka", ["localhost", "127.0.0.1"], 30)
    authority, first = (tmp_path / "ca.pem").read_bytes(), path.read_bytes()
    issued.issue(tmp_path, "kafka", ["localhost", "127.0.0.1"], 60)
    trusted = tls.context(str(tmp_path / "ca.pem"))
    with tls_front(path, 9) as port:
        for host in ("localhost", "127.0.0.1"):
            found = tls.expires_at_seconds(ServerAddress("Kafka", host, port), trusted, 5)
            assert days_left(found + timedelta(minutes=1).total_seconds()) == 60

    assert first != path.read_bytes()
    assert authority == (tmp_path / "ca.pem").read_bytes()
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("ca.key", "kafka.pem")] == [0o600] * 2
    (tmp_path / "ca.key").write_text("no key")
    with pytest.raises(CommandError, match="holds no usable"):
        issued.issue(tmp_path, "kafka", ["localhost"], 30)
