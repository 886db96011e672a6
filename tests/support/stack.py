"""The user's command -> a running stack with its own ports and data folder, for tests.

Invariant: nothing is simulated: `python -m deploy.local` starts the real broker, engine and processes.
"""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.support.waiting import patience

ROOT = Path(__file__).resolve().parents[2]
# Below the kernel's ports for outgoing connections, so that a killed service gets its own port back.
_PORTS = range(10_000, 32_000)
_START_SECONDS_MAX = 180
_STOP_SECONDS_MAX = 90
_READY = re.compile(
    r"ready (?P<ingest>\S+) clickhouse=(?P<clickhouse>\S+) kafka=(?P<kafka>\S+) live=(?P<live>\S+)\n"
)


class StackFailedError(AssertionError):
    """The stack ended or was not ready in time; the text is its output."""


class Stack:
    """One run of the command. `start` it once; it can be restarted on the same data folder and ports."""

    def __init__(self, data_dir: Path, only: str = "", env: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.env = _clean_environment() | free_ports() | {"DATA_DIR": str(data_dir)} | dict(env or {})
        self.command = [sys.executable, "-m", "deploy.local", *(["--only", only] if only else [])]
        self.said = ""  # standard error
        self.ready_line = ""
        self.ingest_url = self.clickhouse_url = self.kafka = self.live_url = ""
        self.process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @property
    def admin_url(self) -> str:
        """Ingest's health, metrics and registry."""
        return f"http://127.0.0.1:{self.env['INGEST_ADMIN_PORT']}"

    def start(self) -> "Stack":
        """Start, and wait for the ready line. Raises: StackFailedError."""
        self.launch()
        process = self.process
        assert process is not None
        assert process.stdout is not None
        watchdog = threading.Timer(_START_SECONDS_MAX * patience(), process.kill)
        watchdog.start()
        self.ready_line = process.stdout.readline()
        watchdog.cancel()
        match = _READY.fullmatch(self.ready_line)
        if not match:
            self.stop(signal.SIGKILL)
            raise StackFailedError(f"{self.ready_line}{self.said}{self.logs()}")
        self.ingest_url, self.clickhouse_url, self.kafka, self.live_url = match.groups()
        return self

    def launch(self) -> None:
        """Start without waiting."""
        self.said = ""
        self.process = subprocess.Popen(
            self.command, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self._reader.start()

    def pid(self, name: str) -> int:
        """Return the process id of `kafka`, `clickhouse`, `ingest`, `warehouse` or `live`."""
        return int((self.data_dir / "run" / f"{name}.pid").read_text())

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a service; return its previous process id."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def log(self, name: str, lines: int = 40) -> str:
        """Return the last lines of a service's log."""
        path = self.data_dir / "log" / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def logs(self) -> str:
        """Return the ends of all logs."""
        names = sorted(path.stem for path in (self.data_dir / "log").glob("*.log"))
        return "".join(f"\n--- {name}.log\n{self.log(name)}" for name in names)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the command with a signal and return its exit status."""
        process = self.process
        assert process is not None
        process.send_signal(number)
        try:
            status = process.wait(_STOP_SECONDS_MAX * patience())
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert self._reader is not None
        self._reader.join()
        assert process.stdout is not None
        process.stdout.close()
        return status

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.said += line


def alive(pid: int) -> bool:
    """Return whether a process runs; ended but unreaped processes do not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_ports() -> dict[str, str]:
    """Return an environment that gives each service a free port."""
    names = (
        *("INGEST_PORT", "INGEST_ADMIN_PORT", "LIVE_PORT", "CLICKHOUSE_PORT", "KAFKA_PORT"),
        "WAREHOUSE_METRICS_PORT",
    )
    # Pairs, because Kafka's controller uses the port after Kafka's.
    return dict(zip(names, map(str, free_pairs(len(names))), strict=True))


def free_pairs(count: int) -> list[int]:
    """Return free ports whose successor is free too."""
    found: set[int] = set()
    while len(found) < count:
        port = random.SystemRandom().randrange(_PORTS.start, _PORTS.stop, 2)
        if _free(port) and _free(port + 1):
            found.add(port)
    return sorted(found)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _clean_environment() -> dict[str, str]:
    """Return the environment without variables that would redirect our processes.

    Also without those that a `make test ARGS=...` passes to nested makes.
    """
    ours = (
        *("KAFKA_", "CLICKHOUSE_", "SCHEMA", "INGEST_", "WAREHOUSE_", "LIVE_", "DATA_DIR"),
        *("MAKE", "MFLAGS", "ARGS"),
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
