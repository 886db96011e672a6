"""The data folder: one stack at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import folder
from deploy.local.child import MARK
from deploy.local.errors import StackError
from tests.support.process import Child


def test_refuses_a_second_stack(tmp_path: Path) -> None:
    """The lock is held while the first one runs."""
    folder.check(tmp_path, 0)

    with folder.locked(tmp_path), pytest.raises(StackError, match="already runs"), folder.locked(tmp_path):
        pass
    with folder.locked(tmp_path):
        pass


def test_says_that_the_disk_is_full(tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(StackError, match=r"is full: \d+ MiB are free"):
        folder.check(tmp_path, 1 << 60)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_says_that_the_folder_cannot_be_written(tmp_path: Path) -> None:
    """With the variable that changes it."""
    tmp_path.chmod(0o500)

    with pytest.raises(StackError, match=r"cannot be written.*DATA_DIR"):
        folder.check(tmp_path / "data", 0)


def test_says_that_the_folder_is_a_file(tmp_path: Path) -> None:
    """With the variable that changes it."""
    (tmp_path / "data").write_bytes(b"")

    with pytest.raises(StackError, match=r"cannot be written.*DATA_DIR"):
        folder.check(tmp_path / "data", 0)


def test_ends_its_own_orphans_only(tmp_path: Path) -> None:
    """A process is identified by its environment, because the number in a file may be reused."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    folder.check(ours, 0)
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(100)"]
    with (
        Child(sleep, env={MARK: str(ours / "run")}, stdout=subprocess.PIPE) as orphan,
        Child(sleep, env={MARK: str(theirs / "run")}, stdout=subprocess.PIPE) as other,
    ):
        for process in (orphan, other):
            assert process.stdout
            process.stdout.readline()
        (ours / "run" / "kafka.pid").write_text(f"{other.pid}\n")

        ended = folder.clean_up(ours)

        assert len(ended) == 1
        assert orphan.wait(5) < 0
        assert other.poll() is None
        assert not (ours / "run" / "kafka.pid").exists()
        other.kill()


@pytest.mark.parametrize(
    ("held", "text"),
    [
        (None, ""),
        (
            "files network programs",
            "can access only its own files, and cannot open connections or start programs",
        ),
        (
            "network programs",
            "is not confined by this kernel from other files, only by its access rights",
        ),
        (
            "",
            "is not confined by this kernel from other files, network, programs, only by its access rights",
        ),
    ],
)
def test_says_what_the_kernel_keeps_clickhouse_from(tmp_path: Path, held: str | None, text: str) -> None:
    """An old kernel, or another system, has fewer restrictions."""
    if held is not None:
        (tmp_path / "run/clickhouse").mkdir(parents=True)
        (tmp_path / "run/clickhouse/confined").write_text(f"{held}\n")

    assert folder.confinement(tmp_path) == text
