"""The catalog and `python -m schemas`: a valid folder loads, and each fault is named."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest

from schemas.__main__ import main
from schemas.catalog.catalog import Catalog, CatalogError
from schemas.catalog.table_names import table_name
from schemas.codec.compiler import compile_release
from tests.support.yardstick import cpu_seconds
from tests.unit.schemas.tree import OPENED, RELEASED, Tree, faults


def test_the_released_schemas_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    """The repository's schemas pass their own check."""
    assert main(["check"]) == 0
    assert capsys.readouterr().out == f"{RELEASED} releases of 17 schemas are sound\n"


def test_list_prints_every_release(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each: wire id, schema id, table."""
    assert main(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert len(lines) == RELEASED
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
    """Even an added space."""
    (tree.root / OPENED).write_text((tree.root / OPENED).read_text() + " ")

    assert faults(tree, capsys) == [
        f"{OPENED}: edited after its release (its SHA-256 is not the registry's): add a version instead"
    ]


def test_a_file_without_entry_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """The message includes the line that its entry would be."""
    path = tree.root / "avro/mobile/AppOpened/5_1_0.avsc"
    path.write_text("{}")
    [fault] = faults(tree, capsys)

    assert fault.startswith(f"avro/mobile/AppOpened/5_1_0.avsc: not in registry.json (id {RELEASED + 1}, ")
    assert hashlib.sha256(b"{}").hexdigest() in fault


def test_a_file_without_entry_keeps_nobody_from_starting(tree: Tree) -> None:
    """`add` writes the file first, and a process starting at that moment must not fail."""
    (tree.root / "avro/mobile/AppOpened/5_1_0.avsc").write_text("{}")

    assert len(Catalog.load(tree.root).releases) == RELEASED


def test_repeated_ids_and_files_are_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Wire ids, schema ids and files each name one release."""
    entries = tree.entries()
    tree.register([*entries, entries[1]])

    assert faults(tree, capsys) == [
        f"registry.json: id 2 in place {RELEASED + 1}; ids must be consecutive, starting with 1",
        "registry.json: schema_id Event_AppOpened_5_0_0 is given 2 times",
        f"registry.json: file {OPENED} is given 2 times",
    ]


def test_a_removed_entry_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """It would leave a gap, an unlisted file, and readers of the topic without a schema."""
    entries = tree.entries()
    del entries[1]
    tree.register(entries)

    told = faults(tree, capsys)

    assert "registry.json: id 3 in place 2; ids must be consecutive, starting with 1" in told
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
    """Path, record name and schema id must match."""
    entries = tree.entries()
    entries[1] |= change
    target = tree.root / entries[1]["file"]
    target.parent.mkdir(exist_ok=True)
    shutil.move(tree.root / OPENED, target)
    tree.register(entries)

    assert any(fault in line for line in faults(tree, capsys))


@pytest.mark.parametrize(
    "data", [None, "", "[]", "{}", '{"releases": [{"id": "1"}]}', '{"releases": 5}', "\xff"]
)
def test_a_broken_registry_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], data: str | None
) -> None:
    """Missing, not JSON, or of another shape."""
    path = tree.root / "registry.json"
    path.unlink()
    if data is not None:
        path.write_bytes(data.encode("latin-1"))

    [fault] = faults(tree, capsys)

    assert fault.startswith("registry.json: ")


def test_schemas_of_our_own_are_needed(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Without them, events that do not fit would have no place."""
    shutil.rmtree(tree.root / "avro/tapline")
    shutil.rmtree(tree.root / "avro/clickstream")
    tree.register(tree.entries()[:14])

    assert faults(tree, capsys) == [
        "registry.json: no release of tapline/Unmodelled",
        "registry.json: no release of tapline/Quarantine",
        "registry.json: no release of clickstream/Clickstream",
    ]


def test_every_fault_is_told(tree: Tree) -> None:
    """One run names all of them."""
    (tree.root / OPENED).write_text("{")
    (tree.root / "avro/mobile/AppInstalled/5_0_0.avsc").unlink()

    with pytest.raises(CatalogError) as caught:
        Catalog.load(tree.root)

    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("APPOpened", "app_opened, which is AppOpened's"),
        ("QUARANTINE", "quarantine, which is Quarantine's"),
        ("Events", "events, which is reserved"),
        ("QuarantineReplays", "quarantine_replays, which is reserved"),
        ("OpenedLocal", "opened_local, which is reserved"),
    ],
)
def test_a_table_belongs_to_one_schema(
    tree: Tree, capsys: pytest.CaptureFixture[str], name: str, table: str
) -> None:
    """Different names may mean the same table, and some tables have no schema."""
    tree.release(f"avro/mobile/{name}/1_0_0.avsc", tree.schema() | {"name": name})

    assert faults(tree, capsys) == [f"Event_{name}_1_0_0: its table would be {table}"]


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
    """One word per capital letter; consecutive capitals form one word."""
    assert table_name(name) == table


def test_the_served_text_is_the_schema(catalog: Catalog) -> None:
    """The registry serves the file's JSON without white space; record names have no namespace."""
    for release in catalog.releases:
        assert json.loads(release.text) == release.schema
        assert release.schema["name"] == release.name
        assert ": " not in json.dumps(release.schema["fields"][0]["name"])


def test_everything_loads_and_compiles_at_once() -> None:
    """Well under the 0.3 s allowed for a start."""

    def start() -> None:
        for release in Catalog.load().releases:
            compile_release(release)

    assert cpu_seconds(start) < 0.3
