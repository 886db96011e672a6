"""The names of an archive's objects, and which of them a run may delete."""

import io
from datetime import date
from pathlib import Path

import pytest

from consumers.kit.errors import TransientError
from consumers.warehouse import archiver
from consumers.warehouse.archiver import ArchivedDays, ArchivePart, object_store
from runtime.environment import SettingsError

_DAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("app_id", "name"),
    [("shop-1", "shop-1"), ("a/../b", "a%2F..%2Fb"), ("a b\0é", "a%20b%00%C3%A9"), ("", "")],
)
def test_an_app_is_one_folder_whatever_its_name(app_id: str, name: str) -> None:
    """And no app's name leads out of it."""
    assert ArchivePart("app_opened", app_id, _DAY).path == (
        f"app_opened/app_id={name}/date=2026-03-01/events.parquet"
    )


def test_long_names_differ_and_fit_a_bucket() -> None:
    """A key of S3 has at most 1,024 bytes."""
    paths = {ArchivePart("app_opened", "é" * 500 + end, _DAY).path for end in ("a", "b")}

    assert len(paths) == 2
    assert max(map(len, paths)) < 500


def test_only_objects_of_the_archived_days_may_be_deleted() -> None:
    """Of our own names."""
    days = ArchivedDays(_DAY, date(2026, 3, 3))
    prefix = "app_opened/app_id=a"

    assert archiver._is_of(f"{prefix}/date=2026-03-01/events.parquet", days)
    assert archiver._is_of(f"{prefix}/date=2026-03-02/events.parquet", days)
    for other in ("date=2026-02-28/events.parquet", "date=2026-03-03/events.parquet", "date=2026-03-01/x"):
        assert not archiver._is_of(f"{prefix}/{other}", days)
    assert not archiver._is_of("app_opened/readme", days)


def test_an_answer_that_ended_early_is_not_stored() -> None:
    """A Parquet file ends with its own mark."""
    whole = io.BytesIO()
    whole.write(b"PAR1...PAR1")
    archiver._check_end(whole)
    assert whole.read() == b"PAR1...PAR1"
    for cut in (b"", b"PA", b"PAR1...", b"Code: 241. DB::Exception"):
        file = io.BytesIO()
        file.write(cut)
        with pytest.raises(TransientError, match="early"):
            archiver._check_end(file)


@pytest.mark.parametrize("url", ["", "nowhere", "s3://", "ftp://host/x"])
def test_a_url_of_no_store_is_a_sentence(url: str) -> None:
    """One line."""
    with pytest.raises(SettingsError, match=r"^--to: [^\n]*$"):
        object_store(url)


def test_a_folder_is_created(tmp_path: Path) -> None:
    """With those above it."""
    object_store(f"file://{tmp_path}/a/b")

    assert (tmp_path / "a" / "b").is_dir()
