"""A data folder -> a running stack that can be broken: its pids, its disk, its clock.

Invariant: after `heal` everything broken here works again, so that the judge tests kept data, not an outage.
Source: tests/support/stack.py starts the stack like a user.
"""

import contextlib
import mmap
import os
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults.harness.cluster import Cluster
from tests.faults.harness.network import Network
from tests.support.process import Child, Ingest
from tests.support.stack import ROOT, Stack
from tests.support.web import WEB, run_sql, total

_SERVICES = "clickhouse,kafka,warehouse,ingest,live"
CRASHED = ("ingest", "warehouse", "live")
_TOKEN = "secret-of-the-faults"  # noqa: S105 - of a stack that nobody else reaches
# Large enough to spool a minute, small enough to be filled at once.
_DISK_BYTES = 256 * 1024 * 1024
_SECONDS_MAX = 60.0
_INSIDE = struct.Struct("dd3q")


class Inside:
    """Failures inside the stack's processes, read by `inside/sitecustomize.py`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._values: list[float] = [0.0, 0.0, *(0 for _ in CRASHED)]
        path.write_bytes(_INSIDE.pack(*self._values))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _INSIDE.size)

    def step_clock(self, seconds: float) -> None:
        """Set the clock to `seconds` ahead of the true time, or behind."""
        self._set(0, seconds)

    def slow_fsync(self, seconds: float) -> None:
        """Delay each fsync of ingest by this much."""
        self._set(1, seconds)

    def crash(self, name: str, pid: int) -> None:
        """Inject an exception into one background task or thread of a process."""
        self._set(2 + CRASHED.index(name), pid)

    def _set(self, index: int, value: float) -> None:
        self._values[index] = value
        self._memory[:] = _INSIDE.pack(*self._values)


class World:
    """The stack under test, and the handles for breaking it."""

    def __init__(
        self, folder: Path, brokers: Sequence[str], session_ms: int, *, has_network: bool = False
    ) -> None:
        self.folder = folder
        self.data = folder / "stack"
        self.data.mkdir(parents=True, exist_ok=True)
        self.foreign = folder / "foreign.jsonl"  # written to topics by `damage`
        self.table_dropped = threading.Event()
        self.column_dropped = threading.Event()
        self.refused = threading.Event()
        self.inside = Inside(folder / "inside")
        self.complaints: list[str] = []  # faults that did not heal by themselves
        self.disk = _mounted(folder / "disk")  # None without root
        # With a network of their own, the brokers have two ingests and two loaders.
        self.network = Network(brokers) if has_network else None
        hosts = self.network.hosts if self.network else None
        self.cluster = Cluster(folder / "brokers", brokers, hosts=hosts) if brokers else None
        env = {
            "INGEST_TOKENS": _TOKEN,
            "INGEST_SPOOL_DIR": str((self.disk or self.data) / "spool"),
            "PYTHONPATH": str(Path(__file__).with_name("inside")),
            "TAPLINE_FAULTS_INSIDE": str(self.inside.path),
            "CLICKHOUSE_QUERY_SECONDS_MAX": "600",
            "KAFKA_SESSION_TIMEOUT_MS": str(session_ms),
        }
        if self.cluster:
            env["KAFKA_BOOTSTRAP_SERVERS"] = self.cluster.servers
        self.stack = Stack(self.data, _SERVICES, env)
        self._ingests: list[Ingest] = []  # next to the supervised one
        self._connected, self._seconds = contextlib.ExitStack(), contextlib.ExitStack()

    def start(self) -> None:
        """Start everything, and wait until it is ready."""
        if self.network:
            self._connected.enter_context(self.network.running())
        if self.cluster:
            self.cluster.start()
        self.stack.start()
        if self.network:
            self._seconds.enter_context(self.second_loader())
            (self.folder / "second").mkdir(exist_ok=True)
            second = Ingest(self.stack.kafka, self.folder / "second", {"INGEST_TOKENS": _TOKEN}).start()
            self._seconds.callback(second.stop)
            self._ingests.append(second)

    def stop(self) -> None:
        """Stop everything; data stays."""
        self._seconds.close()
        if self.stack.process and self.stack.process.poll() is None:
            self.stack.stop()
        if self.cluster:
            self.cluster.stop()
        self._connected.close()
        if self.disk:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=False)

    @property
    def other_ports(self) -> tuple[int, ...]:
        """The ports of the other ingests."""
        return tuple(ingest.port for ingest in self._ingests)

    @property
    def kafka(self) -> Sequence[str]:
        """The names of the brokers."""
        return self.cluster.names if self.cluster else ["kafka"]

    @property
    def kafka_servers(self) -> str:
        """Their addresses."""
        return self.stack.kafka

    @property
    def kafka_properties(self) -> dict[str, str]:
        """Properties of their clients."""
        return {"bootstrap.servers": self.kafka_servers, "log_level": "0"}

    def pid(self, name: str) -> int:
        """Return the process id of a service or broker. Raises: OSError, ValueError while it has none."""
        return self.cluster.pid(name) if self.cluster and name in self.cluster.names else self.stack.pid(name)

    def send(self, name: str, number: signal.Signals) -> int:
        """Send a signal; return the receiving process id, or 0."""
        with contextlib.suppress(OSError, ValueError):
            pid = self.pid(name)
            os.kill(pid, number)
            return pid
        return 0

    def wait_back(self, name: str, pid: int) -> bool:
        """Return whether a process other than `pid` gets the name, within a time limit."""
        deadline = time.monotonic() + _SECONDS_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                if self.pid(name) != pid:
                    return True
            time.sleep(0.05)
        return False

    @contextlib.contextmanager
    def second_loader(self) -> Iterator[Child[bytes]]:
        """Run a second loader; the ones still running at the end are stopped in order."""
        log = (self.data / "log" / "second.log").open("ab")
        at = {
            "KAFKA_BOOTSTRAP_SERVERS": self.stack.kafka,
            "CLICKHOUSE_URL": self.stack.clickhouse_url,
            "WAREHOUSE_METRICS_PORT": "0",
        }
        command = [self.stack.command[0], "-m", "consumers.warehouse"]
        with log, Child[bytes](command, cwd=ROOT, env=self.stack.env | at, stderr=log) as loader:
            try:
                yield loader
            finally:
                loader.terminate()
                try:
                    loader.wait(_SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    loader.kill()

    def sql(self, query: str, data: bytes = b"", seconds_max: float = 600.0) -> bytes:
        """Return what ClickHouse answers. Raises: httpx.HTTPError."""
        return run_sql(self.stack.clickhouse_url, query, data, seconds_max)

    def metric(self, name: str) -> float:
        """Return the sum of a metric of all ingests, or of the live page. Raises: httpx.HTTPError."""
        ingests = [self.stack.admin_url, *(ingest.admin_url for ingest in self._ingests)]
        bases = [self.stack.live_url] if name.startswith("tapline_live") else ingests
        return sum(total(WEB.get(f"{base}/metrics", timeout=5).text, name) for base in bases)

    def heal(self) -> None:
        """End every remaining fault."""
        self.inside.step_clock(0.0)
        self.inside.slow_fsync(0.0)
        for name in (*self.kafka, "clickhouse", "warehouse", "ingest", "live"):
            self.send(name, signal.SIGCONT)
        if self.disk:
            (self.disk / "filler").unlink(missing_ok=True)


def _mounted(folder: Path) -> Path | None:
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        return None
    return folder
