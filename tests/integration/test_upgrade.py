"""The data folders of the last releases, opened by this version."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import release_folder
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Tables, body, lag
from tests.support.web import WEB

pytestmark = pytest.mark.slow

_RELEASES = release_folder.newest(2)
_SIZE_MAX = 1024 * 1024  # of all files, in bytes: they stay in the repository for ever


@pytest.mark.parametrize("file", _RELEASES, ids=lambda file: file.name)
def test_a_data_folder_of_an_earlier_release_goes_on(file: Path, tmp_path: Path) -> None:
    """Its rows are there, its spool reaches the tables, new events load, and reconcile is clean."""
    contents = release_folder.unpack(file, tmp_path)
    stack = Stack(tmp_path, release_folder.SERVICES, release_folder.SETTINGS).start()
    try:
        new = body(event_id="of-this-version")
        assert WEB.post(stack.ingest_url, content=new).status_code == 200
        tables, ids = Tables(stack.clickhouse_url), [*contents.loaded, *contents.spooled, "of-this-version"]
        tables.wait("SELECT count() FROM tapcart.events", len(ids))
        eventually(lambda: lag(stack.kafka) == 0, what="all is loaded")
        found = [row[0] for row in tables.rows("SELECT event_id FROM tapcart.events")]
        rejected = tables.one("SELECT count() FROM tapcart.quarantine")
        reconciled = subprocess.run(
            [sys.executable, "-m", "tapline", "reconcile"],
            cwd=ROOT,
            env=os.environ | stack.env,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        stack.stop()

    assert sorted(found) == sorted(ids)
    assert rejected == contents.rejected == 1
    assert (reconciled.returncode, "nothing is missing" in reconciled.stdout) == (0, True), reconciled.stdout


def test_release_folders_stay_small() -> None:
    """Every clone downloads all of them."""
    assert _RELEASES
    assert sum(file.stat().st_size for file in release_folder.FOLDER.iterdir()) < _SIZE_MAX
