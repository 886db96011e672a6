"""The processes of a stack -> each one's share of a core, and the load of the machine and its disk.

Source: proc(5) through psutil. Disk: the share of time in which the busiest one was active.
"""

import os
import time
from dataclasses import dataclass, field

import psutil

from tests.support.stack import Stack

_MEBIBYTE = 1024 * 1024
_NAMES = ("ingest", "kafka", "warehouse", "clickhouse", "live")


@dataclass(frozen=True, slots=True)
class Usage:
    """Shares of the available, 0 to 1, over one run."""

    cores: dict[str, float]  # by process, of one core
    memory_mib: dict[str, float]  # by process, resident, at the end
    machine: float  # of all cores
    disk: float


@dataclass
class Meter:
    """Measures from its creation on."""

    stack: Stack
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Take the first readings."""
        self._processes = {name: psutil.Process(self.stack.pid(name)) for name in _NAMES}
        self._processes["sender"] = psutil.Process(os.getpid())
        self._cpu = {name: cpu_seconds(process) for name, process in self._processes.items()}
        self._busy, self._machine = _disk_seconds(), psutil.cpu_times()

    def read(self) -> Usage:
        """Return the usage since then."""
        seconds = time.monotonic() - self.began
        now = psutil.cpu_times()
        idle = (now.idle + now.iowait) - (self._machine.idle + self._machine.iowait)
        disks = _disk_seconds()
        return Usage(
            cores={
                name: (cpu_seconds(process) - self._cpu[name]) / seconds
                for name, process in self._processes.items()
            },
            memory_mib={
                name: process.memory_info().rss / _MEBIBYTE for name, process in self._processes.items()
            },
            machine=1 - idle / seconds / (os.cpu_count() or 1),
            disk=max(busy - self._busy.get(name, 0) for name, busy in disks.items()) / seconds,
        )


def cpu_seconds(process: psutil.Process) -> float:
    """Return a process's CPU time so far, on all cores."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _disk_seconds() -> dict[str, float]:
    return {name: disk.busy_time / 1000 for name, disk in psutil.disk_io_counters(perdisk=True).items()}
