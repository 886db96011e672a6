"""A public https address -> the validity and expiry of its certificate.

Invariant: a check is bounded in time and sends no request: it ends after the handshake. The trusted
authorities are the system's, as for Tapcart; OpenSSL's `SSL_CERT_FILE` overrides them.
"""

import socket
import ssl
from urllib.parse import urlsplit

from msgspec import Struct

_SECONDS_MAX = 10.0
_PORT = 443


class CertificateStatus(Struct, frozen=True):
    """The result of a check."""

    fault: str  # empty: the certificate is valid
    expires_at_seconds: float | None  # since 1970; None: unknown


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
