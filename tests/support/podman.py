"""Debian's podman as root in a container: its settings, and commands that must succeed."""

import os
import subprocess
from pathlib import Path

_CONFIGURATION = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"""


def environment(folder: Path) -> dict[str, str]:
    """Return an environment with which podman and podman-compose work here."""
    path = folder / "containers.conf"
    path.write_text(_CONFIGURATION)
    return os.environ | {"CONTAINERS_CONF": str(path)}


def run(env: dict[str, str], *command: str) -> str:
    """Return what a command writes. Raises: OSError with all that it said."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def logs(env: dict[str, str], container: str) -> str:
    """Return the end of a container's log."""
    line = ["podman", "logs", "--tail", "30", container]
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr)[-3000:]
