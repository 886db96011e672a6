"""A full, read-only or damaged disk under the spool: for real, on a small tmpfs."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.kafka import topics
from tests.faults.posting import ANSWER_SECONDS_MAX, event, ids_since, post_all
from tests.support.process import Ingest
from tests.support.stack import Stack
from tests.support.topic import end_offsets
from tests.support.waiting import eventually, is_busy, patience

pytestmark = pytest.mark.slow


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    with mounted(tmp_path / "disk", "1m") as folder:
        yield folder


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small file system at `folder`."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs root and the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def post(process: Ingest, number: int) -> int:
    """Return the status of a distinguishable event."""
    return process.post(event(number)).status_code


def test_a_full_disk_is_told_and_heals(small_disk: Path, tmp_path: Path) -> None:
    """500 while the disk is full, 200 again once there is room; the process lives."""
    process = Ingest("127.0.0.1:1", tmp_path, {"INGEST_SPOOL_DIR": str(small_disk / "spool")}).start()
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 900_000)
    statuses = [post(process, number) for number in range(400)]

    assert statuses[0] == 200
    assert statuses[-1] == 500
    assert process.admin.get("/readyz").status_code == 503
    assert process.admin.get("/readyz").json()["spool_unavailable"] == "No space left on device"
    filler.unlink()
    assert post(process, 1000) == 200
    assert process.admin.get("/readyz").status_code == 200
    process.stop()


def test_a_read_only_disk_is_told(small_disk: Path, tmp_path: Path) -> None:
    """The service starts, answers 500, and says why."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    process = Ingest("127.0.0.1:1", tmp_path, {"INGEST_SPOOL_DIR": str(small_disk / "spool")}).start(
        wait=False
    )
    assert eventually(lambda: process.admin.get("/healthz").status_code == 200)

    assert post(process, 1) == 500
    assert process.admin.get("/readyz").json()["spool_unavailable"] == "Read-only file system"
    process.stop()


def test_a_full_disk_of_the_broker_costs_no_event(tmp_path: Path) -> None:
    """The broker ends and cannot start: 200 from the spool; all is in the topic once there is room."""
    with mounted(tmp_path / "data" / "kafka", "48m") as disk:
        stack = Stack(tmp_path / "data", only="kafka").start()
        process = Ingest(stack.kafka, tmp_path).start()
        assert eventually(process.direct)
        before = end_offsets(stack.kafka, topics.EVENTS)
        filler = disk / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(b"x" * 48 * 1024 * 1024)
        resent = is_busy()
        answers = asyncio.run(post_all(process, range(400), padding=20_000, resent=resent))
        kept = process.metric("tapline_ingest_spooled_records_total")
        filler.unlink()
        assert eventually(process.direct, 60)
        arrived = ids_since(stack.kafka, before)["app"]
        process.stop()
        stack.stop()

    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < ANSWER_SECONDS_MAX * patience()
    assert kept > 0
    assert sorted({*arrived} if resent else arrived, key=int) == [str(number) for number in range(400)]
