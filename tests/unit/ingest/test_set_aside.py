"""Records that no topic accepts: one file each, never overwritten, in a folder of limited size."""

import asyncio
from pathlib import Path

import pytest

from ingest.delivery.set_aside import FOLDER, SetAside
from ingest.delivery.spool import SpoolUnavailableError


def test_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    """Keeping the same record again after a crash makes no second file."""

    async def scenario() -> None:
        first = SetAside(tmp_path, 1000)
        await first.open()
        await first.keep(b"one", 17)
        await first.keep(b"two", 17)
        later = SetAside(tmp_path, 1000)
        await later.open()
        await later.keep(b"one", 17)

        assert (later.files, later.bytes) == (2, 6)

    asyncio.run(scenario())

    assert sorted(path.read_bytes() for path in (tmp_path / FOLDER).iterdir()) == [b"one", b"two"]


def test_the_folder_is_bounded(tmp_path: Path) -> None:
    """Beyond the limit it is refused, naming the setting; space freed by others is noticed."""

    async def scenario() -> None:
        files = SetAside(tmp_path, 10)
        await files.keep(b"12345678", 0)
        with pytest.raises(SpoolUnavailableError, match="INGEST_SET_ASIDE_BYTES_MAX"):
            await files.keep(b"abc", 0)
        for path in (tmp_path / FOLDER).iterdir():
            path.unlink()
        await files.keep(b"abc", 0)

        assert (files.files, files.bytes) == (1, 3)

    asyncio.run(scenario())


def test_what_earlier_versions_left_is_taken_over(tmp_path: Path) -> None:
    """Their names restarted at 1 after each start; partial files are removed."""
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "x.part").write_bytes(b"half")

    async def scenario() -> None:
        for content in (b"first", b"second"):
            (tmp_path / "00000000000000000001.damaged").write_bytes(content)
            files = SetAside(tmp_path, 1000)
            await files.open()

        assert (files.files, files.bytes) == (2, 11)

    asyncio.run(scenario())

    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
    assert sorted(path.read_bytes() for path in (tmp_path / FOLDER).iterdir()) == [b"first", b"second"]
