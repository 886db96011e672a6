"""A public https address -> the validity and expiry of its certificate; the same of Kafka and ClickHouse.

Invariant: a check is bounded in time and sends no request: it ends after the handshake. The trusted
authorities for a public address are the system's, as for Tapcart; OpenSSL's `SSL_CERT_FILE` overrides them.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from math import isnan, nan
from urllib.parse import urlsplit

from msgspec import Struct

from runtime import clickhouse_faults, tls
from runtime.kafka import diagnosis
from runtime.tls import ServerAddress

_SECONDS_MAX = 10.0
_PORT = 443


class CertificateStatus(Struct, frozen=True):
    """The result of a check."""

    fault: str  # empty: the certificate is valid
    expires_at_seconds: float | None  # since 1970; None: unknown


def of_servers(kafka: Mapping[str, str], clickhouse_url: str) -> dict[str, float]:
    """Return when the certificates of Kafka and ClickHouse expire, if they serve any; NaN: unknown.

    They are checked as our clients check them.
    """
    found: dict[str, float] = {}
    if diagnosis.uses_tls(kafka):
        expiries = [_expiry(one, partial(diagnosis.context, kafka)) for one in diagnosis.servers(kafka)]
        found["kafka"] = min((one for one in expiries if not isnan(one)), default=nan)
    parts = urlsplit(clickhouse_url)
    if parts.scheme == "https":
        at = ServerAddress("ClickHouse", parts.hostname or "", clickhouse_faults.port(clickhouse_url))
        found["clickhouse"] = _expiry(at, partial(tls.context, tls.ca_file(clickhouse_url)))
    return found


def _expiry(at: ServerAddress, trusted: Callable[[], ssl.SSLContext]) -> float:
    try:
        return tls.expires_at_seconds(at, trusted(), _SECONDS_MAX)
    except OSError:
        return nan


def check(url: str) -> CertificateStatus:
    """Check the certificate of `url` now."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return CertificateStatus("not https, so there is no certificate", None)
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((parts.hostname, parts.port or _PORT), _SECONDS_MAX) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
        ):
            expires = (secured.getpeercert() or {})["notAfter"]
    except ssl.SSLCertVerificationError as error:
        return CertificateStatus(error.verify_message, None)
    except OSError as error:
        return CertificateStatus(f"does not answer: {error}", None)
    return CertificateStatus("", float(ssl.cert_time_to_seconds(str(expires))))
