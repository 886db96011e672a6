"""`make serve` as an operator starts it, with an authority of its own; and the next one, which takes over."""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.acme import Acme
from tests.support.stack import ROOT
from tests.support.waiting import eventually

HOST = "events.tapline.test"
_SERVES = '"msg":"serving initial configuration"'
_SECONDS_MAX = 60


class Caddy:
    """HTTPS for `HOST` in front of ingests; the last process started is the one that stays."""

    def __init__(self, folder: Path, authority: Acme, ingests: Sequence[int], **env: str) -> None:
        self.log = folder / "caddy.log"
        self.port = authority.https_port
        self.root = folder / "root.pem"  # of the authority, for senders
        self.root.write_text(authority.root())
        self._env = {
            "DATA_DIR": str(folder),
            "SSL_CERT_FILE": str(authority.authority),
            "TAPLINE_ACME_URL": authority.url,
            "TAPLINE_HTTP_PORT": str(authority.http_port),
            "TAPLINE_HTTPS_PORT": str(authority.https_port),
            "TAPLINE_INGEST": " ".join(f"127.0.0.1:{port}" for port in ingests),
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def trusted(self) -> ssl.SSLContext:
        """What a sender trusts."""
        return ssl.create_default_context(cafile=str(self.root))

    def start(self) -> "Caddy":
        """Start one, and wait until it serves."""
        served = self._served()
        command = [sys.executable, "-m", "deploy.edge", HOST]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | self._env, stdout=log, stderr=log
            )
        eventually(lambda: self._served() > served, _SECONDS_MAX, "a Caddy that serves")
        return self

    def hand_over(self) -> int:
        """Start the next one, then stop the one before; return its exit status."""
        before = self._process
        self.start()
        assert before is not None
        before.send_signal(signal.SIGTERM)
        return before.wait(_SECONDS_MAX)

    def stop(self) -> None:
        """Stop it at once."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def _served(self) -> int:
        return self.log.read_text().count(_SERVES) if self.log.exists() else 0
