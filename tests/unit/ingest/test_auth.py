"""Access to the webhook."""

from ipaddress import IPv4Network, IPv6Network, ip_network

import pytest
from starlette.types import Scope

from ingest.http.access import SenderAccess
from runtime.tokens import Token

TOKENS = (
    Token("open", frozenset()),
    Token("bound", frozenset({"app1"})),
)


def networks(*texts: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return networks in the form of settings."""
    return tuple(map(ip_network, texts))


def from_(peer: str, *forwarded: str) -> Scope:
    """Return the scope of a request from `peer`, with an X-Forwarded-For header for each of `forwarded`."""
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"client": (peer, 1) if peer else None, "headers": headers}


def test_a_secret_tells_its_apps() -> None:
    """An unbound secret may post for every app (empty set), an unknown one for none (None)."""
    access = SenderAccess(TOKENS, (), ())

    assert access.apps(b"open") == frozenset()
    assert access.apps(b"bound") == frozenset({"app1"})
    assert access.apps(b"other") is None
    assert access.apps(b"") is None


@pytest.mark.parametrize(
    ("peer", "forwarded", "is_admitted"),
    [
        ("203.0.113.7", (), True),
        ("::ffff:203.0.113.7", (), True),
        ("2001:db8::1", (), True),
        ("198.51.100.7", (), False),
        ("", (), False),
        ("/run/socket", (), False),
        # Only a proxy's X-Forwarded-For is trusted.
        ("10.0.0.1", ("203.0.113.7",), True),
        ("::ffff:10.0.0.1", ("::ffff:203.0.113.7",), True),
        ("10.0.0.1", ("203.0.113.7:4711",), True),
        ("10.0.0.1", ("[2001:db8::1]:4711",), True),
        ("10.0.0.1", ("198.51.100.7",), False),
        ("198.51.100.7", ("203.0.113.7",), False),
        # The rightmost address that is not our proxy is the sender; those to its left are only its claim.
        ("10.0.0.1", ("203.0.113.7, 198.51.100.7",), False),
        ("10.0.0.1", ("198.51.100.7, 203.0.113.7, ::ffff:10.0.0.2",), True),
        ("10.0.0.1", ("198.51.100.7", "203.0.113.7", "10.0.0.2"), True),
        ("10.0.0.1", ("203.0.113.7, unknown",), False),
        ("10.0.0.1", ("",), False),
        ("10.0.0.1", (), False),
    ],
)
def test_the_sender_is_known_by_its_address(
    peer: str, forwarded: tuple[str, ...], *, is_admitted: bool
) -> None:
    """With networks configured, only they may post, however an address is written."""
    access = SenderAccess(
        TOKENS, networks("203.0.113.0/24", "2001:db8::/32"), networks("10.0.0.1/32", "10.0.0.2/32")
    )

    assert access.admits(from_(peer, *forwarded)) is is_admitted


def test_every_address_may_post_by_default() -> None:
    """Tapcart publishes no source addresses."""
    assert SenderAccess(TOKENS, (), ()).admits(from_(""))
