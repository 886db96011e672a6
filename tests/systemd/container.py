"""A Debian with systemd as its first process, without a container engine: a folder and systemd-nspawn.

It shares the network of this machine. Needs root, Debian's mmdebstrap and systemd-container.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,ca-certificates"
_BOOT_SECONDS_MAX = 300
# An index of packages that this machine is set up for is one for the container too.
_OF_THIS_MACHINE = ("/etc/pip.conf", "/etc/ssl/certs", "/usr/local/share/ca-certificates")


def base(archive: Path) -> Path:
    """Return a minimal Debian as an archive, which is made once."""
    if not archive.exists():
        new = archive.with_suffix(".new.tar")
        command = ["mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(new)]
        subprocess.run(command, check=True, capture_output=True)
        new.rename(archive)
    return archive


def run(root: Path, command: Sequence[str], binds: Sequence[str] = ()) -> str:
    """Run a command in the folder, without booting; return its output."""
    done = subprocess.run(
        [*_nspawn(root, binds), "--as-pid2", "--pipe", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def booted(root: Path, binds: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Boot the folder; it ends by itself, or with the block."""
    command = [*_nspawn(root, binds), "--boot", "--kill-signal=SIGRTMIN+3"]
    with (
        (root.parent / "boot.log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
            process.wait(_BOOT_SECONDS_MAX)
        finally:
            process.terminate()


def _nspawn(root: Path, binds: Sequence[str]) -> list[str]:
    here = [f"--bind-ro={path}" for path in _OF_THIS_MACHINE if Path(path).exists()]
    return ["systemd-nspawn", "--quiet", "-D", str(root), "--register=no", "--keep-unit", *here, *binds]
