"""A server's TLS port -> the expiry of its certificate, or one sentence on why there is no connection.

Invariants: every connection is bounded in time and sends nothing after the handshake; no text holds a secret.
Source of the codes: OpenSSL's x509_vfy.h.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

# No way to a trusted authority: X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT and the like; 7: one of the same name.
_UNTRUSTED = frozenset({2, 7, 18, 19, 20, 21})


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server, for texts and connections."""

    product: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.product} at {self.host}:{self.port}"


class SettingNames(NamedTuple):
    """The settings that a sentence names."""

    authority: str  # holds the trusted authorities
    address: str  # holds host and port
    plain: str  # how to connect without TLS


def ca_file(url: str) -> str | None:
    """Return the file of the authority that a URL names by `?ca_cert=FILE`."""
    return parse_qs(urlsplit(url).query).get("ca_cert", [None])[0]


def context(ca_file: str | None = None, ca_folder: str | None = None) -> ssl.SSLContext:
    """Return a context that trusts the given authorities, by default the system's. Raises: OSError."""
    made = ssl.create_default_context(cafile=ca_file, capath=ca_folder)
    # librdkafka and urllib3 accept authorities without key usage, so a check must too.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


def expires_at_seconds(at: ServerAddress, trusted: ssl.SSLContext, seconds_max: float) -> float:
    """Return when the served certificate expires, in seconds since 1970. Raises: OSError, ssl.SSLError."""
    with (
        socket.create_connection((at.host, at.port), seconds_max) as plain,
        trusted.wrap_socket(plain, server_hostname=at.host) as secured,
    ):
        found = (secured.getpeercert() or {}).get("notAfter")
    return float(ssl.cert_time_to_seconds(str(found))) if found else float("nan")


def is_spoken(at: ServerAddress, seconds_max: float) -> bool:
    """Return whether the port answers a TLS greeting, with whatever certificate. Raises: OSError."""
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((at.host, at.port), seconds_max) as plain:
        try:
            anyone.wrap_socket(plain, server_hostname=at.host).close()
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")  # it refuses us, by TLS
        except OSError:  # it hangs up, or waits for more
            return False
    return True


def sentence(error: ssl.SSLError, at: ServerAddress, names: SettingNames) -> str:
    """Return why the handshake failed, and what to change."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"{at} does not speak TLS as expected ({error.reason or error}): "
            f"use its TLS port in {names.address}, or {names.plain}."
        )
    if error.verify_code in _UNTRUSTED:
        return f"{at} has a certificate of an authority that is not in {names.authority}: set the right file."
    remedies = {
        9: "has a certificate that is not valid yet: check both clocks.",
        10: "has a certificate that has expired, or its authority's has: renew it on the server.",
        62: f"has a certificate for other names: use one of them in {names.address}.",
        64: f"has a certificate for other addresses: use its name in {names.address}.",
    }
    return f"{at} {remedies.get(error.verify_code, f'has an unusable certificate: {error.verify_message}.')}"
