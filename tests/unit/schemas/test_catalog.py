"""The catalog, and `python -m schemas`: what is sound loads, each fault is named."""

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.__main__ import main
from schemas.catalog import HERE, Catalog, CatalogError, table_name
from schemas.compiler import compile_release
from schemas.events import EventDecoder
from tests.process import SAMPLES
from tests.unit.schemas import avro

OPENED = "avro/mobile/AppOpened/5_0_0.avsc"
Schema = dict[str, Any]


class Tree:
    """A copy of the released schemas, to be broken."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(HERE / "avro", root / "avro")
        shutil.copy(HERE / "registry.json", root)

    def entries(self) -> list[dict[str, Any]]:
        """Return what the registry lists."""
        entries: list[dict[str, Any]] = json.loads((self.root / "registry.json").read_bytes())["releases"]
        return entries

    def register(self, entries: list[dict[str, Any]]) -> None:
        """Write the registry."""
        (self.root / "registry.json").write_text(json.dumps({"releases": entries}))

    def schema(self, file: str = OPENED) -> Schema:
        """Return a file's schema."""
        schema: Schema = json.loads((self.root / file).read_bytes())
        return schema

    def rewrite(self, file: str, data: str) -> None:
        """Change a file and its hash, as if it had been released so."""
        (self.root / file).write_text(data)
        entries = self.entries()
        for entry in entries:
            if entry["file"] == file:
                entry["sha256"] = hashlib.sha256(data.encode()).hexdigest()
        self.register(entries)

    def release(self, file: str, schema: Schema) -> None:
        """Add a file and its entry."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema))
        entries = self.entries()
        schema_id = f"Event_{path.parent.name}_{path.stem}"
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.register(
            [*entries, {"id": len(entries) + 1, "schema_id": schema_id, "file": file, "sha256": sha256}]
        )

    def change(self, change: Callable[[Schema], object]) -> None:
        """Change AppOpened's schema, as if it had been released so."""
        schema = self.schema()
        change(schema)
        self.rewrite(OPENED, json.dumps(schema))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A copy of the released schemas."""
    return Tree(tmp_path / "schemas")


def faults(tree: Tree, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what `check` tells about the tree, which it must refuse."""
    assert main(["check", "--root", str(tree.root)]) == 1
    said = capsys.readouterr()

    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err.splitlines()


def field_of(schema: Schema, path: str) -> dict[str, Any]:
    """Return the declaration of a field."""
    fields = schema["fields"]
    for step in path.split("."):
        found: dict[str, Any] = next(field for field in fields if field["name"] == step)
        fields = (
            found["type"]["fields"] if isinstance(found["type"], dict) and "fields" in found["type"] else []
        )
    return found


def test_the_released_schemas_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    """What is in the repository passes its own check."""
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "17 releases of 17 schemas are sound\n"


def test_list_prints_every_release(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each: wire id, schema id, table."""
    assert main(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert len(lines) == 17
    assert ["2", "Event_AppOpened_5_0_0", "app_opened"] in lines


def test_the_command_exits_without_a_traceback(tree: Tree) -> None:
    """As CI runs it: faults on stderr, exit status 1."""
    (tree.root / OPENED).unlink()
    ran = subprocess.run(
        [sys.executable, "-m", "schemas", "check", "--root", tree.root],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"{OPENED}: No such file or directory\n"


def test_an_edited_file_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Even a space."""
    (tree.root / OPENED).write_text((tree.root / OPENED).read_text() + " ")

    assert faults(tree, capsys) == [
        f"{OPENED}: edited after its release (its SHA-256 is not the registry's): add a version instead"
    ]


def test_a_file_without_entry_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """The line tells what the entry would be."""
    path = tree.root / "avro/mobile/AppOpened/5_1_0.avsc"
    path.write_text("{}")
    [fault] = faults(tree, capsys)

    assert fault.startswith("avro/mobile/AppOpened/5_1_0.avsc: not in registry.json (id 18, ")
    assert hashlib.sha256(b"{}").hexdigest() in fault


def test_repeated_ids_and_files_are_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Wire ids, schema ids and files each name one release."""
    entries = tree.entries()
    tree.register([*entries, entries[1]])

    assert faults(tree, capsys) == [
        "registry.json: id 2 in place 18; ids go up from 1, no gap, no repetition",
        "registry.json: schema_id Event_AppOpened_5_0_0 is given 2 times",
        f"registry.json: file {OPENED} is given 2 times",
    ]


def test_a_removed_entry_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """It leaves a gap and a file, and whoever reads the topic without a schema."""
    entries = tree.entries()
    del entries[1]
    tree.register(entries)

    told = faults(tree, capsys)

    assert "registry.json: id 3 in place 2; ids go up from 1, no gap, no repetition" in told
    assert any(line.startswith(f"{OPENED}: not in registry.json") for line in told)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"schema_id": "Event_AppOpened_5_0_1"},
            f"{OPENED}: its schema_id is Event_AppOpened_5_0_1, its path says",
        ),
        (
            {"file": "avro/mobile/AppOpened/5_0_1.avsc"},
            "its schema_id is Event_AppOpened_5_0_0, its path says",
        ),
        ({"file": "avro/mobile/AppOpen/5_0_0.avsc"}, "its record must be named AppOpen"),
        ({"file": "avro/AppOpened.avsc"}, "must be avro/<family>/<RecordName>/<major>_<minor>_<patch>.avsc"),
        ({"file": "../outside.avsc"}, "must be avro/<family>/<RecordName>/<major>_<minor>_<patch>.avsc"),
    ],
)
def test_names_that_disagree_are_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], change: dict[str, str], fault: str
) -> None:
    """Path, record name and schema id say the same."""
    entries = tree.entries()
    entries[1] |= change
    target = tree.root / entries[1]["file"]
    target.parent.mkdir(exist_ok=True)
    shutil.move(tree.root / OPENED, target)
    tree.register(entries)

    assert any(fault in line for line in faults(tree, capsys))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "recursion"),
        ("{}", "no Avro schema: "),
        ("5", "no Avro schema: "),
        ('"string"', "its record must be named AppOpened"),
        ('["null"]', "its record must be named AppOpened"),
        ('{"type": "record", "name": "AppOpened"}', "received_at must be a long"),
        (
            '{"type": "record", "name": "AppOpened", "fields": [{"name": "a", "type": "nonsense"}]}',
            "no Avro schema: ",
        ),
        ('{"type": "record", "name": "AppOpened", "fields": [{"name": "a"}]}', "no Avro schema: "),
        (
            '{"type": "record", "name": "AppOpened", "fields": [{"name": "a b", "type": "string"}]}',
            "a b: a name is a letter, then letters, digits and underscores",
        ),
        ('{"type": "record", "name": "AppOpened", "fields": 5}', "no Avro schema: "),
        ('{"type": "record", "name": "AppOpened", "fields": [5]}', "no Avro schema: "),
        ('{"type": "enum", "name": "AppOpened", "symbols": ["A"]}', "must be a record"),
    ],
)
def test_what_is_no_schema_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], data: str, fault: str
) -> None:
    """Files that are no JSON, or that fastavro refuses."""
    tree.rewrite(OPENED, data)
    told = faults(tree, capsys)

    assert told
    assert all(line.startswith(f"{OPENED}: ") for line in told)
    assert fault in told[0]


@pytest.mark.parametrize(
    ("path", "change", "fault"),
    [
        (
            "device_properties.os",
            {"type": ["null", "double"]},
            "device_properties.os: Tapline has no use for the type",
        ),
        (
            "device_properties.os",
            {"type": ["string", "null"]},
            "device_properties.os: Tapline has no use for the type",
        ),
        (
            "device_properties.os",
            {"type": "string", "default": ""},
            "device_properties.os: must be nullable, as every field of a block",
        ),
        (
            "device_properties.os",
            {"default": "iOS"},
            "device_properties.os: nullable, so its default must be null",
        ),
        ("device_properties", {"default": {}}, "device_properties: its default must be a block of nulls"),
        ("session_id", {"type": ["null", "bytes"]}, "session_id: bytes must not be nullable, lists must be"),
        (
            "device_properties.os",
            {"json": "os"},
            "device_properties.os: only nullable text of the top level can hold JSON",
        ),
        ("received_at", {"type": "long"}, "received_at must be a long of logical type timestamp-millis"),
        ("event_id", {"type": ["null", "string"], "default": None}, "event_id must be there: text, not null"),
        ("session_id", {"name": "event_id"}, "event_id: a name of two fields"),
        ("device_properties.os", {"name": "ip"}, "device_properties.ip: a name of two fields"),
        ("session_id", {"json": "timestamp_iso"}, "timestamp_iso: a member of two fields"),
        ("app_id", {"name": "app"}, "app_id must be there: text, not null"),
        ("timestamp", {"type": "long"}, "timestamp must be there: moment, not null"),
        ("extra", {"type": "string", "default": ""}, "extra must be there: text, nullable"),
    ],
)
def test_what_tapline_cannot_use_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], path: str, change: Schema, fault: str
) -> None:
    """Sound Avro that our compiler or ClickHouse has no use for."""
    tree.change(lambda schema: field_of(schema, path).update(change))

    assert any(line.startswith(f"{OPENED}: {fault}") for line in faults(tree, capsys))


def test_a_namespace_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be part of the subject's name."""
    tree.change(lambda schema: schema.update(namespace="tapcart"))

    assert faults(tree, capsys) == [f"{OPENED}: must have no namespace"]


def test_nullable_and_nested_blocks_are_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """ClickHouse fills no columns from a null record."""

    def change(schema: Schema) -> None:
        block = field_of(schema, "device_properties")
        block |= {"type": ["null", block["type"]], "default": None}
        inner = {"type": "record", "name": "Inner", "fields": []}
        field_of(schema, "app_properties.app_id").update(type=inner, default={})

    tree.change(change)
    told = faults(tree, capsys)

    assert f"{OPENED}: device_properties: a block must be at the top level and must not be nullable" in told
    assert (
        f"{OPENED}: app_properties.app_id: a block must be at the top level and must not be nullable" in told
    )


@pytest.mark.parametrize(
    "data", [None, "", "[]", "{}", '{"releases": [{"id": "1"}]}', '{"releases": 5}', "\xff"]
)
def test_a_broken_registry_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], data: str | None
) -> None:
    """Absent, no JSON, or of another shape."""
    path = tree.root / "registry.json"
    path.unlink()
    if data is not None:
        path.write_bytes(data.encode("latin-1"))

    [fault] = faults(tree, capsys)

    assert fault.startswith("registry.json: ")


def test_schemas_of_our_own_are_needed(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Without them there is no place for what does not fit."""
    shutil.rmtree(tree.root / "avro/tapline")
    shutil.rmtree(tree.root / "avro/clickstream")
    tree.register(tree.entries()[:14])

    assert faults(tree, capsys) == [
        "registry.json: no release of tapline/Unmodelled",
        "registry.json: no release of tapline/Quarantine",
        "registry.json: no release of clickstream/Clickstream",
    ]


def test_every_fault_is_told(tree: Tree) -> None:
    """One run names them all."""
    (tree.root / OPENED).write_text("{")
    (tree.root / "avro/mobile/AppInstalled/5_0_0.avsc").unlink()
    (tree.root / "avro/new.avsc").write_text("{}")

    with pytest.raises(CatalogError) as caught:
        Catalog.load(tree.root)

    assert len(str(caught.value).splitlines()) == 3


def test_an_incompatible_version_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """The fault names both versions, the field and the reason."""
    schema = tree.schema()
    schema["fields"].append({"name": "new", "type": "string"})
    field_of(schema, "event_properties.source")["type"] = ["null", "long"]
    tree.release("avro/mobile/AppOpened/5_1_0.avsc", schema)
    words = "Event_AppOpened_5_1_0 cannot read data of Event_AppOpened_5_0_0"

    assert faults(tree, capsys) == [
        f"{words}: event_properties.source: string is none of null | long",
        f"{words}: new: new, and has no default",
    ]


def test_versions_are_released_in_order(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """A version that is lower than a released one comes too late."""
    tree.release("avro/mobile/AppOpened/4_9_9.avsc", tree.schema())

    assert faults(tree, capsys) == [
        "Event_AppOpened_5_0_0: released before Event_AppOpened_4_9_9, though its version is higher"
    ]


@pytest.fixture
def two_versions(tree: Tree) -> Catalog:
    """A catalog in which AppOpened has the version 5_10_0, with a field more and one less, beside 5_0_0."""
    schema = tree.schema()
    schema["fields"].append({"name": "mood", "type": ["null", "string"], "default": None})
    schema["fields"].remove(field_of(schema, "timestamp_iso"))
    tree.release("avro/mobile/AppOpened/5_10_0.avsc", schema)
    assert main(["check", "--root", str(tree.root)]) == 0
    return Catalog.load(tree.root)


def test_versions_are_compared_as_numbers(tree: Tree) -> None:
    """5.10.0 is newer than 5.9.0."""
    for version in ("5_9_0", "5_10_0"):
        tree.release(f"avro/mobile/AppOpened/{version}.avsc", tree.schema())
    newest = Catalog.load(tree.root).newest("AppOpened")

    assert newest is not None
    assert newest.schema_id == "Event_AppOpened_5_10_0"


def test_every_version_is_found(two_versions: Catalog) -> None:
    """The older ones by their ids, the newest also by its name."""
    assert two_versions.newest("AppOpened") == two_versions.by_wire_id(18)
    assert two_versions.by_schema_id("Event_AppOpened_5_0_0") == two_versions.by_wire_id(2)
    assert len(two_versions.newest_releases()) == 17


@pytest.mark.parametrize(
    ("version", "release", "extra"),
    [
        ("5_0_0", "5_0_0", {"mood": "x"}),
        ("5_10_0", "5_10_0", {"timestamp_iso": "t"}),
        ("6_0_0", "5_10_0", {"timestamp_iso": "t"}),
        (None, "5_10_0", {"timestamp_iso": "t"}),
    ],
)
def test_each_event_is_read_by_its_own_version(
    two_versions: Catalog, version: str | None, release: str, extra: dict[str, str]
) -> None:
    """The newest reads what names no known version; fields of another version are kept in `extra`."""
    event = json.loads((SAMPLES / "AppOpened.json").read_bytes()) | {"mood": "x", "timestamp_iso": "t"}
    event["metadata"] = {"schema_id": version and f"Event_AppOpened_{version}"}
    decoded = EventDecoder(two_versions).decode(json.dumps(event).encode(), {})
    record = avro.read(decoded.release, decoded.encode(1))

    assert decoded.release.schema_id == f"Event_AppOpened_{release}"
    assert record["metadata"] == event["metadata"]
    assert json.loads(record["extra"]) == extra


def test_an_older_version_is_read_though_the_newest_would_take_it(two_versions: Catalog) -> None:
    """Version 5_0_0 has a column for what 5_10_0 has none, and the event says which it is."""
    event = json.loads((SAMPLES / "AppOpened.json").read_bytes())
    del event["timestamp_iso"]
    decoded = EventDecoder(two_versions).decode(json.dumps(event).encode(), {})

    assert decoded.release.schema_id == "Event_AppOpened_5_0_0"
    assert (decoded.extra, decoded.odd, decoded.unknown) == (None, (), ())


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("AppOpened", "app_opened"),
        ("SKUViewed", "sku_viewed"),
        ("Order2Created", "order2_created"),
        ("A", "a"),
    ],
)
def test_tables_are_named_in_snake_case(name: str, table: str) -> None:
    """One word a capital, but for runs of them."""
    assert table_name(name) == table


def test_the_served_text_is_the_schema(catalog: Catalog) -> None:
    """The registry's text is the file's JSON without white space, and record names have no namespace."""
    for release in catalog.releases:
        assert json.loads(release.text) == release.schema
        assert release.schema["name"] == release.name
        assert ": " not in json.dumps(release.schema["fields"][0]["name"])


def test_everything_loads_and_compiles_at_once() -> None:
    """Well under the 0.3 s that a start may cost."""
    began = time.process_time()
    for release in Catalog.load().releases:
        compile_release(release)

    assert time.process_time() - began < 0.3
