"""One of our processes, started like an operator does, on a free port."""

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import httpx

from tests.support.waiting import eventually, patience

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "deploy" / "samples" / "mobile"
TOKEN = "secret-of-the-tests"  # noqa: S105
_Text = TypeVar("_Text", str, bytes)


def free_port() -> int:
    """Return a TCP port that is not in use."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Child(subprocess.Popen[_Text]):
    """A process for a `with` block; killed if the block fails, instead of waited for."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Wait until it ends."""
        if error is not None:
            self.kill()
        super().__exit__(kind, error, at)


@dataclass
class Ingest:
    """`python -m ingest` with a token `secret-of-the-tests`."""

    kafka: str
    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    admin_port: int = field(default_factory=free_port)
    module: tuple[str, ...] = ("ingest",)  # and arguments
    starter: tuple[str, ...] = ()  # a command that starts it

    @property
    def settings(self) -> dict[str, str]:
        """Its environment, but for the place of the spool."""
        return {
            "INGEST_PORT": str(self.port),
            "INGEST_ADMIN_PORT": str(self.admin_port),
            "INGEST_TOKENS": TOKEN,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka,
        }

    @property
    def url(self) -> str:
        """Where events are posted."""
        return f"http://127.0.0.1:{self.port}/tapcart_webhooks/{TOKEN}"

    @property
    def admin_url(self) -> str:
        """Its admin port."""
        return f"http://127.0.0.1:{self.admin_port}"

    def start(self, *, wait: bool = True) -> "Ingest":
        """Start it; with `wait`, wait until it is ready."""
        self.log = self.folder / "ingest.log"
        env = self.settings | {"INGEST_SPOOL_DIR": str(self.folder / "spool")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.starter, sys.executable, "-m", *self.module],
                cwd=ROOT,
                env=os.environ | env | self.env,
                stderr=log,
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.admin = httpx.Client(base_url=self.admin_url, timeout=60)
        if wait:
            eventually(lambda: self.admin.get("/readyz").status_code == 200)
        return self

    def post(self, body: bytes | str, token: str = TOKEN, **headers: str) -> httpx.Response:
        """Return the answer to one event."""
        return self.client.post(f"/tapcart_webhooks/{token}", content=body, headers=headers)

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples; `name` with or without labels."""
        lines = self.admin.get("/metrics").text.splitlines()
        found = [line.rsplit(" ", 1) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(value) for _, value in found)

    def answers(self) -> bool:
        """Return whether it answers."""
        return self.admin.get("/healthz").status_code == 200

    def direct(self) -> bool:
        """Return whether delivery is direct and the spool is empty."""
        return (
            self.metric("tapline_ingest_kafka_direct") == 1 and self.metric("tapline_ingest_spool_bytes") == 0
        )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill it."""
        self.process.send_signal(number)
        self.client.close()
        self.admin.close()
        self.process.wait(20 * patience())

    def stop(self) -> int:
        """Stop it in order and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.client.close()
        self.admin.close()
        return self.process.wait(20 * patience())
