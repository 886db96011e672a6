"""A host and port -> who answers there: its addresses, and the certificate that each of them shows.

Invariants: every address of the name is looked at, for Tapcart may use any; each look takes a bounded time.
The authorities are the system's; OpenSSL's `SSL_CERT_FILE` names others. Source of the codes: OpenSSL's
x509_vfy.h.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from deploy.doctor.finding import Finding, fault, ok, warning

_SECONDS_MAX = 5.0
_ADDRESSES_MAX = 8
_DAYS_LEFT_MIN = 14  # as the alert
_DAY_SECONDS = 86_400
_EXPIRED, _NOT_YET, _WRONG_HOST, _WRONG_ADDRESS = 10, 9, 62, 64
_MENDS = {
    _EXPIRED: "Renew the certificate, have the proxy load the new one, and find out why that did not happen.",
    _NOT_YET: "Look at this machine's clock, and at that of whoever issued it.",
    _WRONG_HOST: "Get a certificate for this very name, or give Tapcart the name that the certificate has.",
    _WRONG_ADDRESS: "Give Tapcart a name instead of an address, and get a certificate for it.",
}
_UNTRUSTED = (
    "Use a certificate of a public authority (Let's Encrypt), and have the proxy send the whole chain: "
    "the file is often called fullchain.pem."
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL leads."""

    host: str
    port: int
    is_https: bool


def resolve(at: Address) -> tuple[Finding, list[str]]:
    """Return what DNS says, and the addresses."""
    try:
        found = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)
    except OSError as error:
        mend = f"Make an A or AAAA record for {at.host} at whoever runs its DNS; look at the spelling."
        return fault("DNS", f"{at.host} has no address: {error.strerror or error}", mend), []
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))[:_ADDRESSES_MAX]
    text = f"{at.host} is {', '.join(addresses)}"
    private = [address for address in addresses if not ip_address(address.partition("%")[0]).is_global]
    if private:
        mend = "Well, if the internet sees another address than this machine; else Tapcart cannot come."
        return warning("DNS", f"{text}: not an address of the internet", mend), addresses
    return ok("DNS", text), addresses


def connections(at: Address, addresses: list[str]) -> Iterator[Finding]:
    """Yield what each address does with a connection."""
    for address in addresses:
        try:
            with socket.create_connection((address, at.port), _SECONDS_MAX) as plain:
                if at.is_https:
                    yield _handshake(at, address, plain)
                else:
                    yield ok("connection", f"{address} port {at.port} is open")
        except OSError as error:
            mend = (
                f"See that the proxy runs and listens on port {at.port}, and that firewalls let all in; "
                f"or take {address} out of DNS."
            )
            yield fault("connection", f"{address} port {at.port}: {error.strerror or error}", mend)


def _handshake(at: Address, address: str, plain: socket.socket) -> Finding:
    context = ssl.create_default_context()
    try:
        with context.wrap_socket(plain, server_hostname=at.host) as secured:
            expires = (secured.getpeercert() or {})["notAfter"]
            version = secured.version()
    except ssl.SSLCertVerificationError as error:
        mend = _MENDS.get(error.verify_code, _UNTRUSTED)
        return fault("certificate", f"{address}: {error.verify_message}", mend)
    except ssl.SSLError as error:
        mend = "See that this port speaks TLS 1.2 or newer; a port for plain HTTP does not."
        return fault("TLS", f"{address} port {at.port}: {error.reason or error}", mend)
    except OSError as error:
        mend = "Something takes the connection and says nothing: see the proxy's log."
        return fault("TLS", f"{address} port {at.port}: {error.strerror or error}", mend)
    days = (ssl.cert_time_to_seconds(str(expires)) - time.time()) / _DAY_SECONDS
    text = f"{address}: {version}, good for {days:.0f} days"
    if days < _DAYS_LEFT_MIN:
        return warning("certificate", text, "Renew it now, and see why that did not happen by itself.")
    return ok("certificate", text)
