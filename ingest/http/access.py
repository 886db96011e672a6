"""Secret and address of a request -> the token it may post with.

Invariants: a look-up compares hashes that have a random key per process (SipHash), and a secret only if the
hashes are equal, so its duration reveals nothing. An IPv4
address written as IPv6 (`::ffff:203.0.113.9`) equals the IPv4 address. X-Forwarded-For is read from the right
and trusted as far as its addresses are our proxies. Source: Tapcart can send only a URL (no header, no
signature), hence a secret per URL; docs/architecture.md, promise 5.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

from runtime.tokens import Token

_Address = IPv4Address | IPv6Address
_Networks = tuple[IPv4Network | IPv6Network, ...]


PATH = "/tapcart_webhooks"


class SenderAccess:
    """Decides who may post. Immutable; replaced as a whole when tokens change."""

    def __init__(self, tokens: tuple[Token, ...], addresses: _Networks, proxies: _Networks) -> None:
        self._by_url = {f"{PATH}/{token.secret}".encode(): token for token in tokens}
        self._by_secret = {token.secret: token for token in tokens}
        self._addresses = addresses
        self._proxies = proxies

    def token(self, scope: Scope) -> Token | None:
        """Return the token of a request, found by its usual URL or by its secret; None if it has none."""
        return self._by_url.get(scope["raw_path"]) or self._by_secret.get(secret_of(scope) or "")

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


def secret_of(scope: Scope) -> str | None:
    """Return the secret in a request's URL or Authorization header, "" without one; None on other paths."""
    path: str = scope["path"]
    path = path.removesuffix("/")
    head, _, secret = path.rpartition("/")
    if head == PATH:
        return secret.strip()
    if path != PATH:
        return None
    scheme, _, secret = Headers(scope=scope).get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


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
