"""A disk that is full, read-only or damaged under the spool: for real, on a small tmpfs."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process import SAMPLES, Ingest, eventually

BODY = json.loads((SAMPLES / "AppOpened.json").read_text())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def post(process: Ingest, number: int) -> int:
    """Return the status of an event that can be told from all others."""
    return process.post(json.dumps(BODY | {"event_id": str(number)})).status_code


def test_a_full_disk_is_told_and_heals(small_disk: Path, tmp_path: Path) -> None:
    """500 while the disk is full, 200 again once there is room; the process lives."""
    process = Ingest("127.0.0.1:1", tmp_path, {"INGEST_SPOOL_DIR": str(small_disk / "spool")}).start()
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 900_000)
    statuses = [post(process, number) for number in range(400)]

    assert statuses[0] == 200
    assert statuses[-1] == 500
    assert process.client.get("/readyz").status_code == 503
    assert process.client.get("/readyz").json()["spool_unavailable"] == "No space left on device"
    filler.unlink()
    assert post(process, 1000) == 200
    assert process.client.get("/readyz").status_code == 200
    process.stop()


def test_a_read_only_disk_is_told(small_disk: Path, tmp_path: Path) -> None:
    """The service starts, answers 500, and says why."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    process = Ingest("127.0.0.1:1", tmp_path, {"INGEST_SPOOL_DIR": str(small_disk / "spool")}).start(
        wait=False
    )
    assert eventually(lambda: process.client.get("/healthz").status_code == 200)

    assert post(process, 1) == 500
    assert process.client.get("/readyz").json()["spool_unavailable"] == "Read-only file system"
    process.stop()
