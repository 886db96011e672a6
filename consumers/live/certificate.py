"""A public https address -> whether its certificate is good, and until when.

Invariant: a look takes a bounded time and posts nothing: it ends after the handshake. The authorities are the
system's, as Tapcart's are; OpenSSL's `SSL_CERT_FILE` names others.
"""

import socket
import ssl
from urllib.parse import urlsplit

from msgspec import Struct

_SECONDS_MAX = 10.0
_PORT = 443


class CertificateStatus(Struct, frozen=True):
    """What a look saw."""

    fault: str  # empty: the certificate is good
    expires_at_seconds: float | None  # since 1970; None: not known


def look(url: str) -> CertificateStatus:
    """Return what the host of `url` shows now."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return CertificateStatus("no https: there is no certificate", None)
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
