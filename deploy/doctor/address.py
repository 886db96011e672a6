"""A host and port -> its addresses, and the certificate that each of them serves.

Invariants: every address of the name is checked, because Tapcart may use any; each check is bounded in time.
The authorities are the system's; OpenSSL's `SSL_CERT_FILE` overrides them. Source of the codes: OpenSSL's
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
_DAYS_LEFT_MIN = 14  # same as the alert
_DAY_SECONDS = 86_400
_EXPIRED, _NOT_YET, _WRONG_HOST, _WRONG_ADDRESS = 10, 9, 62, 64
_REMEDIES = {
    _EXPIRED: "Renew the certificate, reload the proxy, and find out why automatic renewal failed.",
    _NOT_YET: "Check this machine's clock and the issuer's.",
    _WRONG_HOST: "Get a certificate for this name, or give Tapcart a name that the certificate covers.",
    _WRONG_ADDRESS: "Give Tapcart a name instead of an address, and get a certificate for it.",
}
_UNTRUSTED = (
    "Use a certificate of a public authority (Let's Encrypt), and have the proxy send the whole chain: "
    "the file is often called fullchain.pem."
)


@dataclass(frozen=True, slots=True)
class Address:
    """The address that a URL leads to."""

    host: str
    port: int
    is_https: bool


def resolve(at: Address) -> tuple[Finding, list[str]]:
    """Resolve the name; return the finding and the addresses."""
    try:
        found = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)
    except OSError as error:
        remedy = f"Check the spelling, and create an A or AAAA record for {at.host}."
        return fault("DNS", f"{at.host} has no address: {error.strerror or error}", remedy), []
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))[:_ADDRESSES_MAX]
    text = f"{at.host} is {', '.join(addresses)}"
    private = [address for address in addresses if not ip_address(address.partition("%")[0]).is_global]
    if private:
        remedy = "Fine if the internet resolves another address; otherwise Tapcart cannot connect."
        return warning("DNS", f"{text}: not a public address", remedy), addresses
    return ok("DNS", text), addresses


def connections(at: Address, addresses: list[str]) -> Iterator[Finding]:
    """Yield the result of connecting to each address."""
    for address in addresses:
        try:
            with socket.create_connection((address, at.port), _SECONDS_MAX) as plain:
                if at.is_https:
                    yield _handshake(at, address, plain)
                else:
                    yield ok("connection", f"{address} port {at.port} is open")
        except OSError as error:
            remedy = (
                f"Check that the proxy listens on port {at.port}, and that firewalls admit everyone; "
                f"or remove {address} from DNS."
            )
            yield fault("connection", f"{address} port {at.port}: {error.strerror or error}", remedy)


def _handshake(at: Address, address: str, plain: socket.socket) -> Finding:
    context = ssl.create_default_context()
    try:
        with context.wrap_socket(plain, server_hostname=at.host) as secured:
            expires = (secured.getpeercert() or {})["notAfter"]
            version = secured.version()
    except ssl.SSLCertVerificationError as error:
        remedy = _REMEDIES.get(error.verify_code, _UNTRUSTED)
        return fault("certificate", f"{address}: {error.verify_message}", remedy)
    except ssl.SSLError as error:
        remedy = "Make sure that this port speaks TLS 1.2 or newer, not plain HTTP."
        return fault("TLS", f"{address} port {at.port}: {error.reason or error}", remedy)
    except OSError as error:
        remedy = "The server accepts connections but does not respond: see the proxy's log."
        return fault("TLS", f"{address} port {at.port}: {error.strerror or error}", remedy)
    days = (ssl.cert_time_to_seconds(str(expires)) - time.time()) / _DAY_SECONDS
    text = f"{address}: {version}, valid for {days:.0f} days"
    if days < _DAYS_LEFT_MIN:
        return warning("certificate", text, "Renew it now, and find out why automatic renewal failed.")
    return ok("certificate", text)
