"""A failed call of ClickHouse and its URL -> one sentence: what is wrong, and which setting to change.

Invariants: no text holds a password; after a failed connection by plain HTTP it connects once more, for a
second at most. Source: ClickHouse's src/Common/ErrorCodes.cpp.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from ssl import SSLError
from typing import Any
from urllib.parse import unquote, urlsplit

from runtime import tls

_SETTING = "CLICKHOUSE_URL"
_NAMES = tls.SettingNames(f"`ca_cert` in {_SETTING}", _SETTING, "begin it with http://")
_PORTS = {"http": 8123, "https": 8443}
_PROBE_SECONDS_MAX = 1.0
_DENIED = 497  # ACCESS_DENIED
# UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED
_REJECTED = frozenset({192, 193, 194, 516})
ACCESS_CODES = _REJECTED | {_DENIED}  # no row is at fault, and only the operator can end them


def port(url: str) -> int:
    """Return the port of a URL."""
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme, 0)


def sentence(error: Exception, url: str) -> str:
    """Return the sentence for an error of clickhouse_connect or of an HTTP client; "" for other faults."""
    text, parts = str(error), urlsplit(url)
    code, user = _code(error, text), unquote(parts.username or "default")
    if code in _REJECTED:
        return f"ClickHouse rejects the login of the user `{user}`: correct name and password in {_SETTING}."
    if code == _DENIED:
        need = re.search(r"have the grant (.*?)\.? \(", text)
        right = need[1] if need else "what this query needs"
        return f"ClickHouse denies the user `{user}` a right: grant {right}; see deploy/security."
    if code is not None:
        return ""
    at = tls.ServerAddress("ClickHouse", parts.hostname or "", port(url))
    failed = next((one for one in _causes(error) if isinstance(one, SSLError)), None)
    if failed is not None:
        return tls.sentence(failed, at, _NAMES)
    with suppress(OSError):
        if parts.scheme == "http" and tls.is_spoken(at, _PROBE_SECONDS_MAX):
            return f"{at} expects TLS: begin {_SETTING} with https://."
    return ""


def _code(error: Exception, text: str) -> int | None:
    code = getattr(error, "code", None)
    found = re.match(r"Code: (\d+)", text)
    return code if isinstance(code, int) else int(found[1]) if found else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those that caused it; urllib3 keeps some as an attribute or an argument."""
    below: list[Any] = [error]
    seen: set[int] = set()
    while below:
        one = below.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            below += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
