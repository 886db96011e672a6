"""`python -m schemas add`: releases, refusals, and the folder after a kill at any line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from schemas.__main__ import main
from schemas.catalog.add import add
from schemas.catalog.catalog import Catalog, unlisted
from schemas.catalog.page import FILE, page
from tests.support import kills
from tests.unit.schemas.tree import OPENED, RELEASED, UNMODELLED, Schema, Tree, field_of

CANNOT_READ = "Event_AppOpened_5_1_0 cannot read data of Event_AppOpened_5_0_0"
NULLABLE: dict[str, Any] = {"type": ["null", "string"], "default": None}


def command(tree: Tree, *arguments: object) -> tuple[int, str, str]:
    """Return exit status, standard output and standard error of `python -m schemas`."""
    ran = subprocess.run(
        [sys.executable, "-m", "schemas", *map(str, arguments), "--root", tree.root],
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout, ran.stderr


def changed(tree: Tree, change: Callable[[Schema], object], name: str = "next.avsc") -> Path:
    """Return a file outside the folder: a changed AppOpened."""
    schema = tree.schema()
    change(schema)
    path = tree.root.parent / name
    path.write_text(json.dumps(schema))
    return path


def with_mood(schema: Schema) -> None:
    """Add a field to the top level and one to a block."""
    schema["fields"].insert(-1, {"name": "mood", **NULLABLE})
    block = field_of(schema, "event_properties")
    block["type"]["fields"].append({"name": "mood", **NULLABLE})
    block["default"]["mood"] = None


def wished(tree: Tree) -> Path:
    """Return a file outside the folder: a new type."""
    schema = tree.schema(UNMODELLED) | {"name": "Wished"}
    schema["fields"].remove(field_of(schema, "raw"))
    path = tree.root.parent / "wished.avsc"
    path.write_text(json.dumps(schema))
    return path


@pytest.mark.parametrize(
    ("change", "version"),
    [
        (with_mood, "5_1_0"),
        (lambda schema: field_of(schema, "event_properties.segment_id").update(number="integer"), "5_1_0"),
        (lambda schema: schema.update(doc="Other words."), "5_0_1"),
        (lambda schema: schema["fields"].remove(field_of(schema, "timestamp_iso")), "6_0_0"),
    ],
    ids=["a field", "a column", "words", "a field less"],
)
def test_the_version_tells_what_changed(
    tree: Tree, change: Callable[[Schema], object], version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A removed field: major; a new field or column: minor; changed texts: patch."""
    path = changed(tree, change)
    assert main(["add", str(path), "--root", str(tree.root)]) == 0

    said = f"released Event_AppOpened_{version} as {RELEASED + 1}; its table is app_opened\n"
    assert capsys.readouterr().out == said
    assert (tree.root / f"avro/mobile/AppOpened/{version}.avsc").read_bytes() == path.read_bytes()
    assert main(["check", "--root", str(tree.root)]) == 0


def test_releasing_is_appending(tree: Tree) -> None:
    """The registry's existing lines stay unchanged, for readable diffs."""
    before = (tree.root / "registry.json").read_text()
    add(tree.root, [wished(tree)])

    after = (tree.root / "registry.json").read_text()
    line = f'    {{"id": {RELEASED + 1}, "schema_id": "Event_Wished_1_0_0"'
    assert after.startswith(before.removesuffix("\n  ]\n}\n") + f",\n{line}")
    assert len(after.splitlines()) == len(before.splitlines()) + 1


def test_several_files_are_released_together(tree: Tree) -> None:
    """In order; a folder stands for its files; none is released if one is refused."""
    folder = tree.root.parent / "proposed"
    for name, path in (("1", changed(tree, with_mood)), ("2", wished(tree))):
        (folder / name).mkdir(parents=True)
        path.rename(folder / name / path.name)
    broken = tree.root.parent / "broken.avsc"
    broken.write_text("{")
    status, said, told = command(tree, "add", folder, broken)

    assert (status, said) == (1, "")
    assert told.startswith(f"{broken}: not JSON: ")
    assert len(Catalog.load(tree.root).releases) == RELEASED
    assert not [*unlisted(tree.root)]

    status, said, told = command(tree, "add", folder)

    assert status == 0
    assert told.startswith("schemas: KAFKA_BOOTSTRAP_SERVERS is not set, so this is not in the audit trail")
    assert [line.split()[1] for line in said.splitlines()] == ["Event_AppOpened_5_1_0", "Event_Wished_1_0_0"]


def test_a_version_may_be_asked_for_by_the_files_name(tree: Tree) -> None:
    """If it is high enough; a file already at its place is released there."""
    schema = tree.schema()
    with_mood(schema)
    place = tree.root / "avro/mobile/AppOpened/7_0_0.avsc"
    place.write_text(json.dumps(schema))

    assert command(tree, "add", place)[0] == 0
    assert Catalog.load(tree.root).releases[-1].schema_id == "Event_AppOpened_7_0_0"


def remove(path: str) -> Callable[[Schema], object]:
    """Return a change that removes a top-level field."""
    return lambda schema: schema["fields"].remove(field_of(schema, path))


def add_field(**field: Any) -> Callable[[Schema], object]:
    """Return a change that adds a top-level field."""
    return lambda schema: schema["fields"].insert(-1, field)


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        (remove("device_id"), "n.avsc", "device_id must be there: text, not null"),
        (
            lambda schema: field_of(schema, "event_properties.segment_id").update(type=["null", "long"]),
            "n.avsc",
            f"{CANNOT_READ}: event_properties.segment_id: string is none of null | long",
        ),
        (
            lambda schema: field_of(schema, "event_properties.segment_id").update(category=True),
            "n.avsc",
            "event_properties.segment_id: its column is String and cannot become LowCardinality(String)",
        ),
        (
            add_field(name="mood", type=["null", "string"]),
            "n.avsc",
            "mood: nullable, so its default must be null",
        ),
        (
            add_field(name="mood", type="string"),
            "n.avsc",
            f"{CANNOT_READ}: mood: new, but has no default",
        ),
        (add_field(name="session_id", **NULLABLE), "n.avsc", "session_id: a name of two fields"),
        (with_mood, "5_0_0.avsc", "version 5_0_0 is released, and releases never change: next is 5_1_0"),
        (with_mood, "4_9_9.avsc", "version 4_9_9 is older than 5_0_0, and releases never change: next is"),
        (with_mood, "5_0_1.avsc", "version 5_0_1 is too low for the differences: at least 5_1_0"),
        (lambda _: None, "n.avsc", "no differences from Event_AppOpened_5_0_0, which is released"),
        (lambda schema: schema.update(name="Quarantine"), "n.avsc", "Quarantine is built into the program"),
        (
            lambda schema: schema.update(name="Events"),
            "n.avsc",
            "its table would be events, which is reserved",
        ),
    ],
    ids=[
        "a required field removed", "a type changed", "a column's type changed", "a default missing",
        "a default missing of a text", "a name used twice", "a version that exists", "an older version",
        "too small a version", "nothing new", "ours", "a table of ours",
    ],
)  # fmt: skip
def test_what_may_not_be_released_is_refused(
    tree: Tree, change: Callable[[Schema], object], name: str, reason: str
) -> None:
    """Exit status 1, the reason with the field's path, and an unchanged folder."""
    before = {path: path.read_bytes() for path in tree.root.rglob("*") if path.is_file()}
    status, said, told = command(tree, "add", changed(tree, change, name))

    assert (status, said) == (1, "")
    assert reason in told
    assert "Traceback" not in told
    assert {path: path.read_bytes() for path in tree.root.rglob("*") if path.is_file()} == before


def test_an_edited_release_is_refused(tree: Tree) -> None:
    """The edit is reported whatever is added; a released file is not added again."""
    again = command(tree, "add", tree.root / OPENED)
    schema = tree.schema()
    with_mood(schema)
    (tree.root / OPENED).write_text(json.dumps(schema))
    edited = command(tree, "add", tree.root / OPENED)

    assert again == (
        1, "", f"{tree.root / OPENED}: no differences from Event_AppOpened_5_0_0, which is released\n",
    )  # fmt: skip
    assert edited == (
        1,
        "",
        f"{OPENED}: edited after its release (its SHA-256 is not the registry's): add a version instead\n",
    )


@pytest.mark.parametrize(
    ("data", "reason"), [(None, "No such file"), ("{", "not JSON"), ("[]", "must be an Avro")]
)
def test_what_is_no_schema_is_refused(tree: Tree, data: str | None, reason: str) -> None:
    """With a sentence."""
    path = tree.root.parent / "next.avsc"
    if data:
        path.write_text(data)
    status, _, told = command(tree, "add", path)

    assert status == 1
    assert told.startswith(f"{path}: {reason}")


def test_a_kill_at_any_line_leaves_a_folder_that_loads(tree: Tree) -> None:
    """It has the old or the new releases, and adding again completes it. Quick: at some lines."""
    files = [changed(tree, with_mood), wished(tree)]
    (tree.root / FILE).touch()
    loaded = set()
    line = 0
    while (status := _add_killed(tree, files, line)) != 0:
        assert status == 9
        catalog = Catalog.load(tree.root)
        loaded.add(len(catalog.releases))
        if len(catalog.releases) == RELEASED + 2:
            tree.register(tree.entries()[:RELEASED])
        line += kills.stride(8)
    assert line > 50
    assert loaded == {RELEASED, RELEASED + 2}
    assert len(Catalog.load(tree.root).releases) == RELEASED + 2
    assert not [*unlisted(tree.root)]
    assert (tree.root / FILE).read_text() == page(Catalog.load(tree.root))


def _add_killed(tree: Tree, files: list[Path], line: int) -> int:
    """Add in a separate process that dies before the line of that number in the code that writes files."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    lines, written = 0, {"add", "_registry", "write"}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if frame.f_globals.get("__name__") != "schemas.catalog.add" or frame.f_code.co_name not in written:
            return None
        if event == "line":
            lines += 1
            if lines > line:
                os._exit(9)
        return trace

    try:
        sys.settrace(trace)
        add(tree.root, files)
    finally:
        os._exit(0)
