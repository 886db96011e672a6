"""PEM files of certificates -> `tapline_certificate_expires_at_seconds` in the metrics of a process.

Invariant: a file is read again when it has changed, so a renewed certificate shows without a restart. A file
of more than `_PRIVATE_MAX` certificates holds the system's authorities, which are not ours to renew: NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from runtime import tls
from runtime.kafka.property_checks import variable

_PRIVATE_MAX = 10
_OF_LIBRARIES = ("ssl.ca.location", "ssl.certificate.location")  # also of Confluent's registry client


def gauge(registry: CollectorRegistry) -> Gauge:
    """Add the metric to the metrics of a process."""
    return Gauge(
        "tapline_certificate_expires_at_seconds",
        "Earliest expiry of the certificates in a setting's file, or served to us: seconds since 1970; "
        "NaN: unknown.",
        ("certificate",),
        registry=registry,
    )


def watch_files(
    shown: Gauge, kafka: Mapping[str, str], registry: Mapping[str, str], clickhouse_url: str = ""
) -> None:
    """Show the expiry of each file that these settings name, by the setting."""
    for prefix, properties in (("KAFKA_", kafka), ("SCHEMA_REGISTRY_", registry)):
        for name in _OF_LIBRARIES:
            if name in properties:
                _watch(shown, variable(name, prefix), properties[name])
    if path := tls.ca_file(clickhouse_url):
        _watch(shown, "CLICKHOUSE_URL", path)


def _watch(shown: Gauge, setting: str, path: str) -> None:
    shown.labels(setting).set_function(CertificateFile(Path(path)))


@dataclass(slots=True)
class CertificateFile:
    """One file; a call returns its earliest expiry."""

    path: Path
    _read: tuple[float, float] = field(default=(nan, nan))  # time of the file's change, and the expiry

    def __call__(self) -> float:
        """Return the earliest expiry in seconds since 1970; NaN if the file has no certificate to renew."""
        try:
            changed_at = self.path.stat().st_mtime
            if changed_at != self._read[0]:
                self._read = changed_at, _earliest(self.path.read_bytes())
        except (OSError, ValueError):
            self._read = nan, nan
        return self._read[1]


def _earliest(text: bytes) -> float:
    from cryptography import x509  # noqa: PLC0415 - takes 5 MB, only with certificates

    found = x509.load_pem_x509_certificates(text)
    if len(found) > _PRIVATE_MAX:
        return nan
    return min(one.not_valid_after_utc.timestamp() for one in found)
