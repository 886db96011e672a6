"""/proc/stat -> whether the machine was quiet: the cores that others took while something was measured.

Others' time is the machine's busy time without that of this process, its descendants and the kernel's
threads; so it includes processes that cannot be seen from a container. Steal is the time that the hypervisor
gave to other machines. Source: proc_stat(5), proc_pid_stat(5).
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

_TICKS = os.sysconf("SC_CLK_TCK")
_KTHREADD = 2
_PAUSE_SECONDS = 1.0
# Of one core. Others: an idle Debian with an editor takes less. Steal: beyond it, medians moved by a tenth.
OTHERS_MAX, STEAL_MAX = 0.15, 0.05


@dataclass(frozen=True, slots=True)
class Conditions:
    """The use of the machine by others, in cores."""

    others: float
    steal: float

    @property
    def is_quiet(self) -> bool:
        """Whether figures may be trusted."""
        return self.others <= OTHERS_MAX and self.steal <= STEAL_MAX

    @property
    def doubt(self) -> str:
        """The reason not to trust figures; empty if there is none."""
        if self.is_quiet:
            return ""
        return f"The machine was not quiet, so do not trust these figures: {self.words}."

    @property
    def words(self) -> str:
        """What others took."""
        return f"other processes took {self.others:.0%} of a core, the hypervisor {self.steal:.0%} (steal)"


@dataclass(frozen=True, slots=True)
class _Reading:
    busy: float  # seconds so far, of all cores
    steal: float
    ours: float


class Watch:
    """Watches the machine in a thread, for a `with` block; then `conditions` are those of the block."""

    def __init__(self) -> None:
        self.conditions = Conditions(0.0, 0.0)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        began, before = time.monotonic(), _reading()
        others = steal = 0.0
        ended = False
        while not ended:
            ended = self._done.wait(_PAUSE_SECONDS)
            now = _reading()
            # Ours falls when a killed process of ours leaves children to init, which takes their times along.
            others += now.busy - before.busy - max(0.0, now.ours - before.ours)
            steal += now.steal - before.steal
            before = now
        seconds = time.monotonic() - began
        self.conditions = Conditions(max(0.0, others) / seconds, steal / seconds)


def look(seconds: float) -> Conditions:
    """Watch the machine for that long, doing nothing."""
    with Watch() as watch:
        time.sleep(seconds)
    return watch.conditions


def _reading() -> _Reading:
    ticks = [int(text) for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = ticks
    # Most kernels count an interrupt as time of the process that it interrupts, too.
    return _Reading((user + nice + system + irq + softirq) / _TICKS, steal / _TICKS, _ours())


def _ours() -> float:
    """Return the seconds so far of this process, its descendants, and the kernel's threads."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for pid in psutil.pids():
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended
        # After the name: state, parent, ... utime, stime, and those of waited-for children.
        parents[pid] = int(fields[1])
        ticks[pid] = sum(map(int, fields[11:15]))
    own = {os.getpid(), _KTHREADD}
    found = set[int]()
    for pid in parents:
        line, at = [], pid
        while at not in found and at not in own and at in parents:
            line.append(at)
            at = parents[at]
        if at in own or at in found:
            found.update(line, [at])
    return sum(ticks[pid] for pid in found if pid in ticks) / _TICKS
