"""Access to the webhook."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import unquote

import pytest
from starlette.types import Scope

from ingest.http.access import PATH, SenderAccess, secret_of
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


def to(path: str, authorization: str = "") -> Scope:
    """Return the scope of a request to `path`, as uvicorn builds it."""
    headers = [(b"authorization", authorization.encode())] if authorization else []
    return {"path": unquote(path), "raw_path": path.encode(), "headers": headers}


def test_a_secret_tells_its_apps() -> None:
    """An unbound secret may post for every app (empty set), an unknown one for none (None)."""
    access = SenderAccess(TOKENS, (), ())

    def apps(secret: str) -> frozenset[str] | None:
        token = access.token(to(f"{PATH}/{secret}"))
        return token.app_ids if token else None

    assert apps("open") == frozenset()
    assert apps("bound") == frozenset({"app1"})
    assert apps("other") is None
    assert apps("") is None


@pytest.mark.parametrize(
    ("path", "authorization", "secret"),
    [
        (f"{PATH}/bound", "", "bound"),
        (f"{PATH}/bound/", "", "bound"),
        (f"{PATH}/bo%75nd", "", "bound"),
        (f"{PATH}/%20bound%20", "", "bound"),
        (f"{PATH}/", "Bearer bound", "bound"),
        (PATH, "bearer  bound ", "bound"),
        (PATH, "Basic bound", ""),
        (PATH, "", ""),
        # The URL decides; on other paths, there is no secret.
        (f"{PATH}/other", "Bearer bound", "other"),
        (f"{PATH}/bound//", "", None),
        (f"{PATH}/x/bound", "Bearer bound", None),
        ("/bound", "Bearer bound", None),
        ("/", "Bearer bound", None),
    ],
)
def test_a_secret_is_in_the_url_or_in_a_header(path: str, authorization: str, secret: str | None) -> None:
    """However the URL is written; `None` is no path of the webhook."""
    scope = to(path, authorization)
    token = SenderAccess(TOKENS, (), ()).token(scope)

    assert secret_of(scope) == secret
    assert token is (TOKENS[1] if secret == TOKENS[1].secret else None)


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
