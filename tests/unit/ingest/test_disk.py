"""The contract of a `Disk`, for the real one and the simulation's fake; and properties of the fake."""

import random
from pathlib import Path

import pytest

from ingest.delivery.disk import Disk, OsDisk
from tests.simulation.fake_disk import FakeDisk, Platters


@pytest.fixture(params=["real", "fake"])
def disk(request: pytest.FixtureRequest) -> Disk:
    """An empty disk."""
    return OsDisk() if request.param == "real" else fake(Platters(random.Random(1)))


def fake(platters: Platters) -> FakeDisk:
    """Return a process's view of the disk."""
    return FakeDisk(platters, random.Random(1), lambda _: None)


def write(disk: Disk, path: Path, data: bytes) -> int:
    """Return the descriptor of a new file with `data`."""
    descriptor = disk.create(path)
    append(disk, descriptor, data)
    return descriptor


def append(disk: Disk, descriptor: int, data: bytes) -> None:
    """Write `data`, in as many calls as needed."""
    rest = memoryview(data)
    while rest:
        written = disk.write(descriptor, rest)
        assert 0 < written <= len(rest)
        rest = rest[written:]


def test_a_file_is_appended_to_and_read(disk: Disk, tmp_path: Path) -> None:
    """Between any two positions, even past its end."""
    folder = tmp_path / "a" / "b"
    disk.make_folder(folder)
    disk.make_folder(folder)
    descriptor = write(disk, folder / "file", b"hello ")
    append(disk, descriptor, b"world" * 100)
    disk.sync(descriptor)
    disk.sync_folder(folder)
    disk.close(descriptor)

    assert disk.read(folder / "file", 0, 11) == b"hello world"
    assert disk.read(folder / "file", 6, 11) == b"world"
    assert disk.read(folder / "file", 501, 10_000) == b"world"
    assert disk.files(folder) == {folder / "file": 506}


def test_a_name_is_taken_once(disk: Disk, tmp_path: Path) -> None:
    """`create` never overwrites a file; a rename replaces its target."""
    disk.close(write(disk, tmp_path / "one", b"1"))
    disk.close(write(disk, tmp_path / "two", b"2"))
    with pytest.raises(OSError, match="exists"):
        disk.create(tmp_path / "one")
    disk.rename(tmp_path / "one", tmp_path / "two")

    assert disk.files(tmp_path) == {tmp_path / "two": 1}
    assert disk.read(tmp_path / "two", 0, 9) == b"1"


def test_a_cut_file_goes_on_at_its_new_end(disk: Disk, tmp_path: Path) -> None:
    """A writer truncates data that it could not sync."""
    descriptor = write(disk, tmp_path / "file", b"kept, not kept")
    disk.truncate(descriptor, 4)
    append(disk, descriptor, b"!")
    disk.close(descriptor)

    assert disk.read(tmp_path / "file", 0, 99) == b"kept!"


def test_what_is_not_there(disk: Disk, tmp_path: Path) -> None:
    """A missing folder has no files; a missing file cannot be read, and removing it is harmless."""
    assert disk.files(tmp_path / "nowhere") == {}
    with pytest.raises(OSError, match="No such file"):
        disk.read(tmp_path / "nowhere", 0, 1)
    disk.close(write(disk, tmp_path / "file", b"x"))
    disk.remove(tmp_path / "file")
    disk.remove(tmp_path / "file")
    assert disk.files(tmp_path) == {}


@pytest.mark.parametrize("seed", range(30))
def test_a_power_cut_leaves_what_was_synced(seed: int) -> None:
    """Of unsynced data any prefix survives, perhaps damaged; of an unsynced name perhaps nothing."""
    platters = Platters(random.Random(seed))
    disk = fake(platters)
    synced = write(disk, Path("/spool/synced"), b"a" * 50)
    disk.sync(synced)
    disk.sync_folder(Path("/spool"))
    append(disk, synced, b"b" * 50)
    unnamed = write(disk, Path("/spool/unnamed"), b"c" * 50)
    disk.sync(unnamed)
    platters.cut_power()
    files = fake(platters).files(Path("/spool"))

    assert fake(platters).read(Path("/spool/synced"), 0, 50) == b"a" * 50
    assert 50 <= files[Path("/spool/synced")] <= 101
    assert files.get(Path("/spool/unnamed"), 50) == 50
