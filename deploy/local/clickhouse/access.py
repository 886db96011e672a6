"""Headers of one request -> nothing, or a fault that refuses it. Pure.

Invariants: a browser on this machine can reach the port, so any web page may try: by its own host name
(Host), by an image or a form (Sec-Fetch-Site), by a script (Origin). None of them can run a query.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping

from starlette.datastructures import Headers

from deploy.local.clickhouse.faults import FrontError
from deploy.local.clickhouse.settings import Settings
from runtime.http import hosts

_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def check(headers: Headers, params: Mapping[str, str], settings: Settings) -> None:
    """Check that the request may query. Raises: FrontError."""
    _check_host(hosts.without_port(headers.get("host", "")).lower(), settings)
    _check_page(headers)
    _check_password(params, headers, settings.password.get_secret_value())


def _check_host(host: str, settings: Settings) -> None:
    if hosts.is_loopback(host) or host in {settings.host.lower(), *settings.hostnames}:
        return
    if settings.host in _WILDCARDS and hosts.is_address(host):
        return
    detail = f"default: This server is not known as {host!r}: CLICKHOUSE_HOSTNAMES does not list it."
    raise FrontError(497, "ACCESS_DENIED", detail)


def _check_page(headers: Headers) -> None:
    origin, host = headers.get("origin", ""), headers.get("host", "")
    if origin and origin not in {f"http://{host}", f"https://{host}"}:
        raise FrontError(497, "ACCESS_DENIED", f"default: Queries from pages of {origin!r} are not accepted.")
    if hosts.is_of_another_site(headers.get("sec-fetch-site")):
        raise FrontError(497, "ACCESS_DENIED", "default: Queries from pages of other sites are not accepted.")


def _check_password(params: Mapping[str, str], headers: Headers, password: str) -> None:
    """Check the password, however it was sent, if one is set. Raises: FrontError."""
    if not password:
        return
    sent = (
        params.get("password") or headers.get("x-clickhouse-key") or _basic(headers.get("authorization", ""))
    )
    if sent is None:
        raise FrontError(194, "REQUIRED_PASSWORD", "default: Authentication failed: password is required.")
    if not hmac.compare_digest(sent.encode(errors="surrogateescape"), password.encode()):
        detail = "default: Authentication failed: password is incorrect, or there is no user with such name."
        raise FrontError(516, "AUTHENTICATION_FAILED", detail)


def _basic(header: str) -> str | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value).decode(errors="surrogateescape").partition(":")[2]
    except binascii.Error:
        return ""
