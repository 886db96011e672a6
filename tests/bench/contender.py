"""A measured program -> a running process on a core of its own, and its cost.

Invariant: it is started as an operator starts it; its output goes to a file and is shown when it fails.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench import cores
from tests.support.stack import ROOT
from tests.support.waiting import eventually

_MEBIBYTE = 1024 * 1024
_START_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a process so far."""

    cpu_seconds: float  # of all its threads, in the kernel too
    memory_mib: float  # resident


@dataclass
class Contender:
    """One process. `start` and `stop` it once."""

    name: str
    command: Sequence[str]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    on: set[int] = field(default_factory=lambda: cores.MEASURED)
    tree: Path = ROOT  # the checkout that it runs in

    @property
    def log(self) -> Path:
        """The file of its output."""
        return self.folder / f"{self.name.replace(' ', '-')}.log"

    def start(self, port: int = 0) -> "Contender":
        """Start it; return once it listens on `port`, if there is one. Raises: AssertionError."""
        with self.log.open("ab") as log, cores.on(self.on):
            self._process = subprocess.Popen(
                self.command, cwd=self.tree, env=os.environ | self.env, stdout=log, stderr=log
            )
        self._watched = psutil.Process(self._process.pid)
        if port:
            try:
                eventually(lambda: self._listens(port), _START_SECONDS_MAX, f"{self.name} on port {port}")
            except AssertionError:
                self.stop(signal.SIGKILL)
                raise
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, once there is one."""
        return self._process.poll()

    def cost(self) -> Cost:
        """Return its cost so far."""
        times = self._watched.cpu_times()
        return Cost(times.user + times.system, self._watched.memory_info().rss / _MEBIBYTE)

    def wait(self, seconds_max: float) -> None:
        """Wait until it has ended by itself with status 0. Raises: AssertionError."""
        eventually(lambda: self._process.poll() is not None, seconds_max, f"{self.name}'s end")
        assert self._process.returncode == 0, self.told()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)

    def told(self) -> str:
        """Return the end of its output."""
        return self.log.read_text(errors="replace")[-2000:]

    def _listens(self, port: int) -> bool:
        assert self._process.poll() is None, f"{self.name} ended:\n{self.told()}"
        return any(
            connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
            for connection in self._watched.net_connections("tcp")
        )


def python(module: str, *arguments: str) -> list[str]:
    """Return the command of a Python module."""
    return [sys.executable, "-m", module, *arguments]
