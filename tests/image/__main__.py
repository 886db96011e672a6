"""`make test-image`: the image of deploy/image is built twice, compared, and run as in production.

Exit status: 0; 1 with the reason. Needs root, and Debian's buildah, podman, runc and mmdebstrap.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from runtime.version import VERSION
from tests.support.process import SAMPLES, Ingest, free_port
from tests.support.stack import ROOT
from tests.support.waiting import eventually

_BYTES_MAX = 100_000_000  # above the base; a registry's slim base has about 125 million
_IMAGE = "localhost/tapline-test"
_NAME = "tapline-test"
_BASES = {"tapline-test-base": "", "tapline-test-build": ",binutils"}
# Left out of the base, as the registries' slim images do.
_LEFT_OUT = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "info", "locale")]
_MOUNTS = ("/etc/pip.conf:/etc/pip.conf:ro", "/etc/ssl/certs:/etc/ssl/certs:ro")
_RUNTIME = ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
_HARDENED = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
_LIMITS = ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096", "--no-healthcheck"]


class ImageError(AssertionError):
    """The image is not what it should be."""


def main() -> int:
    """Build and run; return the exit status."""
    for name, more in _BASES.items():
        _base(name, more)
    layers = _build()
    if _build() != layers:
        raise ImageError("two builds of the same inputs differ")
    size = _bytes(_IMAGE) - _bytes("localhost/tapline-test-base")
    if size > _BYTES_MAX:
        raise ImageError(f"{size:,} bytes are over {_BYTES_MAX:,}")
    with tempfile.TemporaryDirectory(prefix="tapline-image-") as folder:
        _serve(Path(folder))
    sys.stdout.write(
        f"built twice, the same; {size / 1e6:.0f} MB above its base; keeps an event, and stops in order\n"
    )
    return 0


def _base(name: str, more: str) -> None:
    """Import a minimal Debian, made once."""
    archive = ROOT / ".cache" / f"{name}.tar"
    if not archive.exists():
        new = archive.with_suffix(".new.tar")
        include = f"--include=python3,python3-venv,ca-certificates{more}"
        _run("mmdebstrap", "--variant=minbase", include, *_LEFT_OUT, "bookworm", str(new))
        new.rename(archive)
    if not _run("buildah", "images", "--filter", f"reference=localhost/{name}", "-q"):
        container = _run("buildah", "from", "scratch").strip()
        _run("buildah", "add", container, str(archive), "/")
        _run("buildah", "commit", "--rm", container, f"localhost/{name}")


def _build() -> list[str]:
    """Build the image, without a cache, and return its layers."""
    base, build = (f"localhost/{name}" for name in _BASES)
    arguments = {"BASE": base, "BUILD_BASE": build, "VERSION": VERSION}
    _run(
        *("buildah", "bud", "--no-cache", "--isolation", "chroot", "--network", "host", "--timestamp", "0"),
        *(f"--volume={mount}" for mount in _MOUNTS if Path(mount.partition(":")[0]).exists()),
        *(f"--build-arg={name}={value}" for name, value in arguments.items()),
        *("-f", "deploy/image/Dockerfile", "-t", _IMAGE, "."),
    )
    layers: list[str] = json.loads(_run("podman", "image", "inspect", _IMAGE))[0]["RootFS"]["Layers"]
    return layers


def _bytes(image: str) -> int:
    return int(json.loads(_run("podman", "image", "inspect", image))[0]["Size"])


def _serve(folder: Path) -> None:
    """Run ingest without Kafka: it keeps an event, is healthy, and stops in order."""
    ingest = Ingest(f"127.0.0.1:{free_port()}", folder)
    folder.chmod(0o777)
    env = [f"--env={name}={value}" for name, value in ingest.settings.items()]
    where = ["--network", "host", "--name", _NAME, f"--volume={folder}:/var/lib/tapline", "--replace"]
    _run("podman", *_RUNTIME, "run", "--detach", *_HARDENED, *_LIMITS, *where, *env, _IMAGE, "ingest")
    try:
        eventually(lambda: httpx.get(f"{ingest.admin_url}/readyz").status_code == 200)
        answer = httpx.post(ingest.url, content=(SAMPLES / "AppOpened.json").read_bytes())
        _run("podman", *_RUNTIME, "exec", _NAME, "python", "-m", "deploy.image.health")
        user = _run("podman", *_RUNTIME, "exec", _NAME, "id", "-u").strip()
        _run("podman", *_RUNTIME, "stop", _NAME)
        state = json.loads(_run("podman", *_RUNTIME, "container", "inspect", _NAME))[0]["State"]
    finally:
        _run("podman", *_RUNTIME, "rm", "--force", _NAME)
    found = (answer.status_code, answer.json(), user, state["ExitCode"])
    if found != (200, {"kept": "spool"}, "10001", 0):
        raise ImageError(f"answer, body, user and exit status are {found}")


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise ImageError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
