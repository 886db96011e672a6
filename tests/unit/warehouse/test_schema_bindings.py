"""A release unknown to the loader when its first record arrives is looked up, not quarantined."""

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastavro
import pytest

from consumers.kit.decode import Refusal
from consumers.kit.erasures.follower import NobodyErased
from consumers.warehouse.errors import TooManyRefusedError
from consumers.warehouse.load.batch import Batch, BatchLimits
from consumers.warehouse.load.container import Format
from consumers.warehouse.load.flush import Flusher
from consumers.warehouse.load.inserts import Policy
from consumers.warehouse.load.schema_bindings import CurrentBindings
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.tables import tables
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.codec.events import EventDecoder
from tests.support.warehouse import CATALOG, NOW_MS, SAMPLES, Message, crc, message
from tests.unit.schemas.tree import Tree

WITH_MOOD = json.dumps(json.loads(SAMPLES["AppOpened"]) | {"mood": "fine"}).encode()


class World:
    """Tables and quarantine in memory, with all calls in order."""

    def __init__(self) -> None:
        self.tables = tables(CATALOG)
        self.done: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.kept: list[Refusal] = []

    def make_tables(self) -> None:
        """Do what `Warehouse` says."""
        [table] = [table for table in self.tables if table.name == "app_opened"]
        self.done.append(f"tables {'with' if 'mood' in {c.name for c in table.columns} else 'without'} mood")

    def answers(self) -> bool:
        """Do what `Store` says."""
        return True

    def stores_another(self, _form: Format, _day: int | None) -> bool:
        """Do what `Store` says."""
        return True

    def insert(self, form: Format, data: bytes) -> None:
        """Do what `Warehouse` says."""
        rows = [row for row in fastavro.reader(io.BytesIO(data)) if isinstance(row, dict)]
        if form.table != "quarantine":
            self.done.append(f"{len(rows)} of {form.release.schema_id}")
            self.rows += rows

    def write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Do what `RefusalStore` says."""
        self.kept += refusals
        return []


class Site:
    """A flusher on a folder of schemas."""

    def __init__(self, tree: Tree, schema_seconds_max: float) -> None:
        self.tree = tree
        self.world = World()
        self.metrics = Metrics()
        self.reloader = SchemaReloader(tree.root)
        self.schemas = CurrentBindings(self.reloader, self.metrics)
        policy = Policy(0.01, 2, schema_seconds_max)
        self.flusher = Flusher(self.world, self.world, self.schemas, policy, self.metrics, NobodyErased())

    def batch(self, *messages: Message) -> Batch:
        """Return a batch with the current bindings."""
        batch = Batch(BatchLimits(1000, 1 << 30, 0.0), self.schemas.bindings)
        batch.add(messages, 0.0, {})
        return batch

    def release(self) -> None:
        """Add a version with the field `mood`."""
        schema = self.tree.schema()
        schema["fields"].insert(-1, {"name": "mood", "type": ["null", "string"], "default": None})
        self.tree.release("avro/mobile/AppOpened/5_1_0.avsc", schema)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A copy of the released schemas."""
    return Tree(tmp_path / "schemas")


def newer(site: Site, offset: int) -> Message:
    """Return a record of the folder's newest release."""
    value = EventDecoder(Catalog.load(site.tree.root)).decode(WITH_MOOD, {}).encode(NOW_MS)
    return Message(value, offset_=offset, headers_=crc(value))


def test_a_release_is_looked_for_when_its_first_record_comes(tree: Tree) -> None:
    """The table gets its column before the row; known schemas are written as usual."""
    site = Site(tree, 5.0)
    old = message(WITH_MOOD)
    site.release()
    site.flusher.write(site.batch(old, newer(site, 7), newer(site, 8)))

    assert site.world.done == [
        "tables with mood", "1 of Event_AppOpened_5_0_0", "2 of Event_AppOpened_5_1_0",
    ]  # fmt: skip
    rows = [(row["_offset"], row.get("mood"), row["_appended_at"].timestamp()) for row in site.world.rows]
    assert rows == [(0, None, NOW_MS / 1000), (7, "fine", NOW_MS / 1000), (8, "fine", NOW_MS / 1000)]
    assert site.world.kept == []
    assert site.batch(newer(site, 9)).checked == 0


def test_a_batch_that_began_before_a_release_was_taken_up_is_written_by_it(tree: Tree) -> None:
    """Its records were checked with the older bindings."""
    site = Site(tree, 5.0)
    site.release()
    batch = site.batch(newer(site, 7))
    site.flusher.reload_schemas()
    site.flusher.write(batch)

    assert [row["mood"] for row in site.world.rows] == ["fine"]
    assert site.world.kept == []


def test_invented_ids_are_not_waited_for_one_after_the_other(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records with a right checksum and ever new ids once held all others for 15 s each."""
    site = Site(tree, 0.2)
    ahead = len(site.reloader.catalog.releases)
    loads: list[int] = []
    monkeypatch.setattr(site.flusher, "reload_schemas", lambda: loads.append(1))
    counts = []
    for number in (1, 2, 3):
        invented = wire.prefix(ahead + number) + b"body"
        site.flusher.write(site.batch(Message(invented, offset_=number, headers_=crc(invented))))
        counts.append(len(loads))
        loads.clear()

    assert counts[0] > 1
    assert counts[1:] == [1, 1]
    assert [refusal.reason for refusal in site.world.kept] == ["unknown_schema"] * 3


def test_a_release_that_comes_late_is_waited_for(tree: Tree) -> None:
    """Its record is retried until the folder has the release."""
    site = Site(tree, 60.0)
    before = (tree.root / "registry.json").read_bytes()
    site.release()
    record = newer(site, 7)
    after = (tree.root / "registry.json").read_bytes()
    (tree.root / "registry.json").write_bytes(before)
    look = site.flusher.reload_schemas
    looks = 0

    def reload_schemas() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            (tree.root / "registry.json").write_bytes(after)
        look()

    site.flusher.reload_schemas = reload_schemas  # type: ignore[method-assign]
    site.flusher.write(site.batch(record))

    assert looks == 3
    assert [row["mood"] for row in site.world.rows] == ["fine"]
    assert site.world.kept == []


def test_what_no_release_explains_in_time_is_refused(tree: Tree) -> None:
    """A few are quarantined; more stop the process, because then the loader is outdated."""
    site = Site(tree, 0.05)
    site.release()
    records = [newer(site, offset) for offset in range(3)]
    site.tree.register(site.tree.entries()[:-1])
    site.flusher.write(site.batch(*records[:2]))

    assert [refusal.reason for refusal in site.world.kept] == ["unknown_schema"] * 2
    with pytest.raises(TooManyRefusedError, match="3 rows of newer producers, the first: no schema has the"):
        site.flusher.write(site.batch(*records))


def test_a_schema_is_waited_for_once(tree: Tree) -> None:
    """An id that is never released delays the others once, not with each record."""
    site = Site(tree, 0.5)
    site.release()
    records = [newer(site, offset) for offset in range(3)]
    site.tree.register(site.tree.entries()[:-1])
    began = time.monotonic()
    site.flusher.write(site.batch(records[0]))
    waited = time.monotonic()
    for record in records[1:] * 20:
        site.flusher.write(site.batch(record))

    assert waited - began >= 0.5
    assert time.monotonic() - waited < len(records[1:] * 20) * 0.5
    assert [refusal.reason for refusal in site.world.kept] == ["unknown_schema"] * 41


@pytest.mark.parametrize("ahead", [0, 101, 2**31 - 100])
def test_an_id_that_no_release_can_have_soon_is_not_waited_for(tree: Tree, ahead: int) -> None:
    """It is refused like other damage, however often it occurs."""
    site = Site(tree, 60.0)
    newest = len(site.schemas.catalog.releases)
    data = wire.prefix(newest + ahead if ahead else 0) + b"x"
    records = [Message(data, offset_=offset, headers_=crc(data)) for offset in range(3)]
    site.flusher.write(site.batch(*records))

    assert [refusal.reason for refusal in site.world.kept] == ["unknown_schema"] * 3


def test_a_broken_folder_changes_nothing(tree: Tree) -> None:
    """Each reload counts the failure, and known schemas keep working."""
    site = Site(tree, 0.0)
    (tree.root / "registry.json").write_text("{")
    for _ in range(2):
        site.flusher.reload_schemas()
    site.flusher.write(site.batch(message(WITH_MOOD)))

    assert site.world.done == ["1 of Event_AppOpened_5_0_0"]
    assert site.metrics.registry.get_sample_value("tapline_warehouse_schemas_refused_total") == 2
    assert site.reloader.changed
