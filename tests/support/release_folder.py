"""The data folder that a release leaves behind: written once for each version, opened by later ones.

A file `<version>.tar.xz` holds what `make run` keeps: ClickHouse's and Kafka's folders, the spool with events
that Kafka does not have yet, the keys; and `expected.json` with what must be there after an upgrade.
"""

import tarfile
from pathlib import Path

import msgspec

from deploy.demo.samples import samples
from runtime.version import VERSION
from tests.support.process import TOKEN, Ingest
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Tables, body, lag
from tests.support.web import WEB

FOLDER = ROOT / "tests" / "fixtures" / "releases"
SERVICES = "kafka,clickhouse,warehouse,ingest"
# Kafka deletes nothing, however old the folder gets.
SETTINGS = {"INGEST_TOKENS": TOKEN, "INGEST_RETENTION_HOURS": "1000000"}
_PARTS = ("clickhouse", "kafka", "spool", "erasure.key")
_EXPECTED = "expected.json"
_TOGETHER = 5  # of a kind


class ReleaseContents(msgspec.Struct, frozen=True):
    """What a release folder holds."""

    version: str
    loaded: list[str]  # event_ids that are in ClickHouse
    spooled: list[str]  # event_ids that only the spool has
    rejected: int  # rows in quarantine


def newest(count: int) -> list[Path]:
    """Return the files of the newest releases, the oldest first."""
    return sorted(FOLDER.glob("*.tar.xz"), key=_version)[-count:]


def unpack(file: Path, folder: Path) -> ReleaseContents:
    """Unpack a release folder, and return what it holds."""
    with tarfile.open(file) as packed:
        packed.extractall(folder, filter="data")
    return msgspec.json.decode((folder / _EXPECTED).read_bytes(), type=ReleaseContents)


def write(folder: Path) -> Path:
    """Run this version in an empty folder, and write its release file."""
    stack = Stack(folder, SERVICES, SETTINGS).start()
    posted = [one.body for one in samples()]
    posted += [body("ProductViewed") for _ in range(_TOGETHER)]
    posted += [body(event_type="OfNoSchema") for _ in range(_TOGETHER)]
    for event in posted:
        assert WEB.post(stack.ingest_url, content=event).status_code == 200
    WEB.post(stack.ingest_url, content=b'{"event_id": ')
    eventually(lambda: lag(stack.kafka) == 0, what="all is loaded")
    tables = Tables(stack.clickhouse_url)
    loaded = [row[0] for row in tables.rows("SELECT event_id FROM tapcart.events ORDER BY 1")]
    rejected = tables.one("SELECT count() FROM tapcart.quarantine")
    assert stack.stop() == 0
    ingest = Ingest("127.0.0.1:9", folder).start()
    spooled = [body() for _ in range(_TOGETHER)]
    assert {ingest.post(event).status_code for event in spooled} == {200}
    ingest.stop()
    contents = ReleaseContents(
        VERSION, loaded, [msgspec.json.decode(event)["event_id"] for event in spooled], rejected
    )
    (folder / _EXPECTED).write_bytes(msgspec.json.format(msgspec.json.encode(contents)))
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{VERSION}.tar.xz"
    with tarfile.open(file, "w:xz", preset=9) as packed:
        for part in (*_PARTS, _EXPECTED):
            packed.add(folder / part, part)
    return file


def _version(file: Path) -> tuple[int, ...]:
    return tuple(map(int, file.name.removesuffix(".tar.xz").split(".")))
