"""Who may post."""

from ipaddress import ip_network

from ingest.http.access import Access
from schemas.tokens import Token

TOKENS = (
    Token("open", frozenset()),
    Token("bound", frozenset({"app1"})),
)


def test_a_secret_tells_its_apps() -> None:
    """An unbound secret speaks for every app (empty set), an unknown one for none (None)."""
    access = Access(TOKENS, ())

    assert access.apps(b"open") == frozenset()
    assert access.apps(b"bound") == frozenset({"app1"})
    assert access.apps(b"other") is None
    assert access.apps(b"") is None


def test_addresses_are_matched_by_network() -> None:
    """With networks configured only they may post; what is no address may not."""
    access = Access(TOKENS, (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")))

    assert access.admits("203.0.113.7")
    assert access.admits("2001:db8::1")
    assert not access.admits("198.51.100.7")
    assert not access.admits("")


def test_every_address_may_post_by_default() -> None:
    """Tapcart publishes no source addresses."""
    assert Access(TOKENS, ()).admits("")
