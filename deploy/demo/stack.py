"""Environment -> a running stack: the one of `make run`, else a temporary one.

Invariants: a stack found running is never stopped; a temporary one ends with the demo. Source: the ready line
and the files of the data folder are the public contract in docs/settings.md.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from deploy.local import services
from deploy.local.errors import StackError
from deploy.local.secret import secret
from deploy.local.settings import ROOT, Settings

_PROBE_SECONDS_MAX = 5.0
_STOP_SECONDS_MAX = 60.0


class NoStackError(StackError):
    """No stack runs, and none could be started."""


@dataclass(frozen=True)
class Stack:
    """The addresses of a stack."""

    ingest_url: str  # with the token
    clickhouse_url: str  # for people: without a password
    clickhouse_login: str = field(repr=False)
    live_url: str
    ours: bool = False  # temporary


def running(env: Mapping[str, str]) -> Stack | None:
    """Return the stack of the environment's data folder and ports, if it accepts events."""
    settings = Settings.from_env(env)
    at = services.addresses(settings)
    try:
        httpx.get(f"{at.ingest_admin}/readyz", timeout=_PROBE_SECONDS_MAX, trust_env=False).raise_for_status()
    except httpx.HTTPError:
        return None
    if not (token := secret(settings)):
        raise NoStackError(f"{at.ingest} runs, but its token is neither set nor in DATA_DIR")
    return Stack(f"{at.ingest}/tapcart_webhooks/{token}", at.clickhouse, at.clickhouse_login, at.live)


@contextmanager
def started() -> Iterator[Stack]:
    """Yield a temporary stack. Raises: NoStackError."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.local", "--with-parent"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield _of_ready_line(line)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS_MAX)


def outside(url: str) -> Stack:
    """Return the stack behind an ingest URL; its other addresses come from the environment."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NoStackError("--url must be http:// or https://, with the token in its path")
    at = services.addresses(Settings.from_env(os.environ))
    return Stack(url, at.clickhouse, at.clickhouse_login, at.live)


def _of_ready_line(line: str) -> Stack:
    word, _, rest = line.strip().partition(" ")
    if word != "ready":
        raise NoStackError("the stack did not start; see above")
    ingest_url, *others = rest.split()
    named = dict(other.split("=", 1) for other in others)
    login = services.addresses(Settings.from_env(os.environ)).clickhouse_login
    return Stack(ingest_url, named["clickhouse"], login, named["live"], ours=True)
