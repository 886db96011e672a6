"""Secret and address of a request -> the apps it may speak for.

Invariant: secrets are looked up by their SHA-256, so the time of a look-up tells nothing about a secret.
Source: Tapcart can send nothing but a URL (no header, no signature), hence a secret per URL; DESIGN.md,
promise 5.
"""

import hashlib
from ipaddress import IPv4Network, IPv6Network, ip_address

from schemas.tokens import Token


class Access:
    """Who may post: immutable, replaced as a whole when tokens change."""

    def __init__(self, tokens: tuple[Token, ...], addresses: tuple[IPv4Network | IPv6Network, ...]) -> None:
        self._apps = {_digest(token.secret.encode()): token.app_ids for token in tokens}
        self._addresses = addresses

    def apps(self, secret: bytes) -> frozenset[str] | None:
        """Return the app ids bound to `secret` (empty: every app), or None when the secret is unknown."""
        return self._apps.get(_digest(secret))

    def admits(self, address: str) -> bool:
        """Return whether `address` (textual IP) may post; every address may when none was configured."""
        if not self._addresses:
            return True
        try:
            source = ip_address(address)
        except ValueError:
            return False
        return any(source in network for network in self._addresses)


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
