"""Backups of a stack under load, its loss, and its restore: the runbook's drill, word by word."""

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.support.live import event
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Tables

pytestmark = pytest.mark.slow

DRILL = (
    (ROOT / "deploy/runbook.md").read_text().partition("\n## Backup and restore\n")[2].partition("\n## ")[0]
)
BACKUPS, LOSS, AFTER = (
    block.splitlines() for block in re.findall(r"^```bash\n(.*?)^```", DRILL, re.DOTALL | re.MULTILINE)
)
_EVENTS = 60  # acknowledged between two steps


class Sender:
    """Posts events one after the other until stopped."""

    def __init__(self, stack: Stack) -> None:
        self.acknowledged: set[str] = set()
        self._url, self._stopping = stack.ingest_url, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def more(self) -> None:
        """Wait until further events are acknowledged."""
        count = len(self.acknowledged) + _EVENTS
        eventually(lambda: len(self.acknowledged) >= count, what="events flow")

    def stop(self) -> None:
        """Stop posting."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client() as client:
            while not self._stopping.wait(0.005):
                body = event("AppOpened")
                assert client.post(self._url, content=body).status_code == 200
                self.acknowledged.add(str(json.loads(body)["event_id"]))


@dataclass
class Drill:
    """The stack before and after, and what the commands said."""

    stack: Stack
    folder: Path
    said: dict[str, str] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)

    def run(self, command: str) -> None:
        """Run a command of the runbook."""
        text = re.sub(r"(?<![\w/])data\b", str(self.stack.data_dir), command)
        done = subprocess.run(
            ["bash", "-ec", re.sub(r"\blost\b", str(self.folder / "lost"), text)],
            cwd=ROOT,
            env=self.stack.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.said[command] = done.stdout

    @property
    def backups(self) -> list[Path]:
        """The backups, the oldest first."""
        return sorted((self.stack.data_dir / "backups").iterdir())


def restore(folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
    """Run the command with another data folder, and new ports."""
    env = Stack(data).env
    command = [sys.executable, "-m", "tapline", "restore", str(folder)]
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    """A stack that was backed up twice under load, lost and restored; it runs again."""
    folder = tmp_path_factory.mktemp("drill")
    stack = Stack(folder / "data", "kafka,clickhouse,warehouse,ingest").start()
    aside = stack.data_dir / "spool" / "set-aside" / "kept"
    aside.parent.mkdir(exist_ok=True)
    aside.write_bytes(b"an acknowledged event")
    found = Drill(stack, folder)
    sender = Sender(stack)
    try:
        sender.more()
        for command in BACKUPS:
            found.run(command)
            sender.more()
    finally:
        sender.stop()
        stack.stop()
    for command in LOSS:
        found.run(command)
    assert AFTER[0] == "make run"
    stack.start()
    found.acknowledged = sender.acknowledged
    yield found
    stack.stop()


def test_everything_is_back_once(drill: Drill) -> None:
    """Also what arrived after the backup, because Kafka survived; the URL is the same; reconcile is clean."""
    tables = Tables(drill.stack.clickhouse_url)
    tables.wait("SELECT count() FROM tapcart.app_opened", len(drill.acknowledged), 60)
    for command in AFTER[1:]:
        drill.run(f"{command} ARGS=--json")
    report = json.loads(drill.said["make reconcile ARGS=--json"])
    stored = {row[0] for row in tables.rows("SELECT event_id FROM tapcart.app_opened")}

    tables.wait("SELECT countIf(action = 'restore') FROM tapcart.audit_trail", 1)
    audited = tables.rows(
        "SELECT action, count() FROM tapcart.audit_trail WHERE state = 'done' GROUP BY action ORDER BY action"
    )

    assert stored == drill.acknowledged
    assert audited == [["backup", 2], ["restore", 1]]
    assert (report["missing"], report["gone"], report["totals"]["missing"]) == ([], [], 0)
    assert "the loader loads again what arrived after" in drill.said[LOSS[1]]
    assert httpx.post(drill.stack.ingest_url, content=event("CartViewed")).status_code == 200
    assert (drill.stack.data_dir / "spool/set-aside/kept").read_bytes() == b"an acknowledged event"


def test_an_incremental_backup_is_small(drill: Drill) -> None:
    """It holds what was loaded since, and names its base; both hold no more than they need."""
    full, more = drill.backups
    first, second = (json.loads((path / "manifest.json").read_text()) for path in (full, more))
    rows = {"data/tapcart_raw/app_opened" in path for path in second["files"]}

    assert (first["base"], second["base"]["name"]) == (None, full.name)
    assert True in rows
    assert len(second["files"]) < len(first["files"]) + 40
    assert first["topic_ids"] == second["topic_ids"]
    assert sum(second["offsets"]["tapcart.events"].values()) > sum(
        first["offsets"]["tapcart.events"].values()
    )
    assert all(path.stat().st_mode & 0o077 == 0 for path in (full, full / "token", full / "manifest.json"))


def test_a_new_machine_has_the_tables_of_the_backup(drill: Drill, tmp_path: Path) -> None:
    """Without Kafka the loader begins at its start; the rows, the schemas' tables and the token are there."""
    data, elsewhere = tmp_path / "data", tmp_path / "copied"
    for backup in drill.backups:
        shutil.copytree(backup, elsewhere / backup.name)
    done = restore(elsewhere / drill.backups[1].name, data)
    stack = Stack(data, "clickhouse").start()
    stored = {
        row[0] for row in Tables(stack.clickhouse_url).rows("SELECT event_id FROM tapcart_raw.app_opened")
    }
    stack.stop()

    assert (done.returncode, "the loader begins at its start" in done.stdout) == (0, True), done.stderr
    assert len(stored) > _EVENTS
    assert stored <= drill.acknowledged
    assert (data / "token").read_bytes() == (drill.stack.data_dir / "token").read_bytes()


@pytest.mark.parametrize("damage", ["byte", "file", "base", "manifest"])
def test_a_damaged_backup_is_refused(drill: Drill, tmp_path: Path, damage: str) -> None:
    """One changed byte, a file or a base that is missing: nothing is written."""
    for backup in drill.backups:
        shutil.copytree(backup, tmp_path / backup.name)
    full, more = (tmp_path / backup.name for backup in drill.backups)
    victim = max(
        (path for path in full.rglob("*.bin") if path.is_file()), key=lambda path: path.stat().st_size
    )
    if damage == "byte":
        data = victim.read_bytes()
        victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "file":
        victim.unlink()
    else:
        (full if damage == "base" else more).joinpath("manifest.json").unlink()
    done = restore(more, tmp_path / "data")

    assert done.returncode == 1
    assert re.search("missing or changed|holds no complete backup", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("part", ["clickhouse/metadata", "spool/1.spool", "token"])
def test_a_place_with_data_is_refused(drill: Drill, tmp_path: Path, part: str) -> None:
    """Whatever data there is, it stays, and nothing comes beside it."""
    place = tmp_path / "data" / part
    place.parent.mkdir(parents=True)
    if "." in part or part == "token":
        place.write_text("a secret of sixteen letters")
    else:
        place.mkdir()
    done = restore(drill.backups[0], tmp_path / "data")
    left = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and "run" not in path.parts]

    assert done.returncode == 1
    assert "a backup is restored into an empty place only" in done.stderr
    assert str(tmp_path / "data" / part.split("/", 1)[0]) in done.stderr
    assert left == ([place] if place.is_file() else [])


def test_a_newer_engines_backup_is_refused(drill: Drill, tmp_path: Path) -> None:
    """And a running stack keeps its folder."""
    full = tmp_path / drill.backups[0].name
    shutil.copytree(drill.backups[0], full)
    manifest = json.loads((full / "manifest.json").read_text()) | {"clickhouse": "99.1.1.1"}
    (full / "manifest.json").write_text(json.dumps(manifest))
    newer, running = restore(full, tmp_path / "data"), restore(full, drill.stack.data_dir)

    assert (newer.returncode, running.returncode) == (1, 1)
    assert "the backup is ClickHouse 99.1's" in newer.stderr
    assert "already runs on the data folder" in running.stderr
    assert not (tmp_path / "data" / "clickhouse").exists()
