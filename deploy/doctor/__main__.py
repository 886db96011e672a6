"""Tests a public webhook URL as Tapcart uses it, and suggests fixes: `python -m deploy.doctor URL`.

Without a URL it uses TAPLINE_PUBLIC_URL and the stack's token. Exit status: 0 Tapcart can deliver, 1 it
cannot; all else: see `runtime.command`.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from urllib.parse import SplitResult, urlsplit

from deploy.doctor import address, tables, topics
from deploy.doctor.finding import Finding, Level, fault, ok
from deploy.doctor.posts import Posts
from deploy.local import services
from deploy.local.errors import WrongSettingsError
from deploy.local.secret import secret
from deploy.local.settings import Settings
from runtime import command
from runtime.printable import printable

_PATH = "/tapcart_webhooks/"
_WAIT_SECONDS_MAX = 30.0
_CHARS_MAX = 1_000  # per line: the server at the URL may answer anything


def main(given: Sequence[str]) -> int:
    """Run all checks; return the exit status. Raises: StackError."""
    settings = Settings.from_env(os.environ)
    arguments = _arguments(given)
    parts = _with_token(_parts(arguments.url or settings.public_url), settings)
    at = services.addresses(settings)
    login = "" if arguments.no_clickhouse else at.clickhouse_login
    levels = []
    for finding in chain(_findings(parts, login), topics.findings(at.ingest_admin)):
        levels.append(finding.level)
        _show(finding)
    faults = levels.count(Level.FAULT)
    print(f"\n{faults} fault(s): fix them first." if faults else "\nTapcart can deliver.")
    return 1 if faults else 0


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tapline doctor", description="Test a webhook URL as Tapcart uses it."
    )
    parser.add_argument("url", nargs="?", default="", help="https://<host> (default: TAPLINE_PUBLIC_URL)")
    parser.add_argument("--no-clickhouse", action="store_true", help="do not check that the probes arrive")
    return parser.parse_args(given)


def _with_token(parts: SplitResult, settings: Settings) -> SplitResult:
    """Add the stack's token to a URL that has only a host, which keeps it off the command line."""
    token = "" if parts.path.strip("/") else secret(settings)
    return parts._replace(path=_PATH + token) if token else parts


def _parts(url: str) -> SplitResult:
    """Parse the URL. Raises: WrongSettingsError."""
    if not url:
        raise WrongSettingsError("no URL given: pass https://<host>, or set TAPLINE_PUBLIC_URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WrongSettingsError(f"not a valid URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise WrongSettingsError("the URL must be https://<host>/tapcart_webhooks/<token>")
    return parts


def _findings(parts: SplitResult, login: str) -> Iterator[Finding]:
    is_https = parts.scheme == "https"
    at = address.Address(parts.hostname or "", parts.port or (443 if is_https else 80), is_https)
    yield _shape(parts)
    found, addresses = address.resolve(at)
    yield found
    broken = found.level is Level.FAULT
    for connection in address.connections(at, addresses):
        broken = broken or connection.level is Level.FAULT
        yield connection
    if broken:
        return
    posts = Posts(parts.geturl())
    yield from posts.findings()
    if not posts.acknowledged:
        return
    if login:
        yield tables.arrived(login, posts.acknowledged, _WAIT_SECONDS_MAX, spooled=posts.spooled)
    else:
        yield tables.not_asked()


def _shape(parts: SplitResult) -> Finding:
    if parts.scheme != "https":
        remedy = "Put a proxy with a certificate in front (README): otherwise the token can be intercepted."
        return fault("URL", "plain http: nothing is encrypted, and Tapcart requires https", remedy)
    token = parts.path.removeprefix(_PATH)
    if not parts.path.startswith(_PATH) or not token or "/" in token:
        remedy = "Unless the proxy changes the path, it must be /tapcart_webhooks/<token>: see `make url`."
        return Finding(Level.WARNING, "URL", "an unusual path", remedy)
    return ok("URL", f"https://{parts.netloc.rpartition('@')[2]}{_PATH}<token>")


def _show(finding: Finding) -> None:
    print(f"{finding.level:8}{finding.check:13}{printable(finding.text, _CHARS_MAX)}", flush=True)
    if finding.remedy:
        print(f"{'':21}-> {printable(finding.remedy, _CHARS_MAX)}", flush=True)


if __name__ == "__main__":
    command.main("doctor", main)
