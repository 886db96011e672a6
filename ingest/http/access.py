"""Secret and address of a request -> the apps it may post for.

Invariants: secrets are looked up by their SHA-256, so the duration of a look-up reveals nothing. An IPv4
address written as IPv6 (`::ffff:203.0.113.9`) equals the IPv4 address. X-Forwarded-For is read from the right
and trusted as far as its addresses are our proxies. Source: Tapcart can send only a URL (no header, no
signature), hence a secret per URL; docs/architecture.md, promise 5.
"""

import hashlib
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.types import Scope

from runtime.tokens import Token

_Address = IPv4Address | IPv6Address
_Networks = tuple[IPv4Network | IPv6Network, ...]


class SenderAccess:
    """Decides who may post. Immutable; replaced as a whole when tokens change."""

    def __init__(self, tokens: tuple[Token, ...], addresses: _Networks, proxies: _Networks) -> None:
        self._apps = {_digest(token.secret.encode()): token.app_ids for token in tokens}
        self._addresses = addresses
        self._proxies = proxies

    def apps(self, secret: bytes) -> frozenset[str] | None:
        """Return the app ids bound to `secret` (empty: every app), or None if the secret is unknown."""
        return self._apps.get(_digest(secret))

    def admits(self, scope: Scope) -> bool:
        """Return whether the sender's address may post; any may if none is configured."""
        if not self._addresses:
            return True
        source = self._source(scope)
        return source is not None and _is_in(source, self._addresses)

    def _source(self, scope: Scope) -> _Address | None:
        peer = scope["client"][0] if scope.get("client") else ""
        forwarded = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        source = None
        for text in (peer, *reversed(forwarded.decode("latin-1").split(","))):
            if source is not None and not text.strip():
                continue
            source = _address(text)
            if source is None or not _is_in(source, self._proxies):
                break
        return source


def _address(text: str) -> _Address | None:
    """Return the address in `203.0.113.9`, `203.0.113.9:80`, `2001:db8::1` or `[2001:db8::1]:80`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


def _is_in(address: _Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
