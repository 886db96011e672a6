"""The data folder: checked, locked for one stack, and cleaned up after a crash.

Invariants: the lock is the kernel's (flock), so a crash releases it. A process is ended only if its own
environment says that it belongs to this folder. Source: proc(5); orphans are found only on Linux.
"""

import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local import starts
from deploy.local.child import MARK
from deploy.local.errors import StackError
from ingest.token_file import write_secret
from runtime.waiting import wait_until

PASSWORD_FILE = "run/clickhouse-password"  # noqa: S105 - a path, not a password
_CONFINED = "run/clickhouse/confined"  # written by the process itself, in deploy.local.clickhouse

_PARTS = ("run", "log")
# Created by the processes that write there; an earlier release left some of them open to everybody.
_PRIVATE = (*_PARTS, "backups", "clickhouse", "clickhouse-server", "kafka")
_ORPHAN_SECONDS_MAX = 15.0


def check(folder: Path, free_bytes_min: int) -> None:
    """Create `folder` and its parts. Raises: StackError if it is not writable or the disk is full."""
    try:
        for part in _PARTS:
            (folder / part).mkdir(parents=True, exist_ok=True)
        for part in _PRIVATE:
            if (folder / part).exists():
                (folder / part).chmod(0o700)
        probe = folder / "run" / "probe"
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        raise StackError(
            f"the data folder {folder} cannot be written: {error.strerror}. Set DATA_DIR to another one."
        ) from error
    free = shutil.disk_usage(folder).free
    if free < free_bytes_min:
        raise StackError(
            f"the disk of the data folder {folder} is full: {free >> 20} MiB are free, "
            f"{free_bytes_min >> 20} MiB are needed (TAPLINE_DISK_FREE_BYTES_MIN). "
            "Free some, or set DATA_DIR to another disk."
        )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock `folder` for this process. Raises: StackError if another stack runs on it."""
    with (folder / "run" / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"a stack already runs on the data folder {folder}. Stop it, or set DATA_DIR to another one."
            ) from None
        yield


def clean_up(folder: Path) -> list[str]:
    """End processes that a crashed stack left on `folder`; return their names. The lock must be held."""
    run_dir = folder / "run"
    orphans = dict(_processes(run_dir))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        wait_until(lambda: not any(_belongs(pid, run_dir) for pid in orphans), _ORPHAN_SECONDS_MAX, 0.05)
    for path in (*run_dir.glob("*.pid"), folder / _CONFINED):
        path.unlink(missing_ok=True)
    starts.forget(run_dir)
    return sorted(orphans.values())


def write_password(folder: Path, password: str) -> None:
    """Write ClickHouse's password, which may be empty, to the file read at its start."""
    write_secret(folder / PASSWORD_FILE, password + "\n")


def confinement(folder: Path) -> str:
    """Describe the kernel's confinement of ClickHouse's process; empty if unknown."""
    try:
        held = (folder / _CONFINED).read_text().split()
    except OSError:
        return ""
    free = [name for name in ("files", "network", "programs") if name not in held]
    if not free:
        return "can access only its own files, and cannot open connections or start programs"
    return f"is not confined by this kernel from other {', '.join(free)}, only by its access rights"


def _processes(run_dir: Path) -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*"):
        if int(path.name) != os.getpid() and _belongs(int(path.name), run_dir):
            with contextlib.suppress(OSError):
                yield int(path.name), (path / "comm").read_text().strip()


def _belongs(pid: int, run_dir: Path) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{MARK}={run_dir}".encode() in environment.split(b"\0")
