"""`python -m schemas diff`: the differences of two schemas by path, and whether B reads the data of A."""

import json

import pytest

from schemas.__main__ import main
from tests.unit.schemas.tree import Tree, field_of


def diff(
    tree: Tree, capsys: pytest.CaptureFixture[str], older: str, newer: str
) -> tuple[int, list[str], str]:
    """Return exit status, lines of standard output, standard error."""
    status = main(["diff", older, newer, "--root", str(tree.root)])
    said = capsys.readouterr()
    return status, said.out.splitlines(), said.err


def test_what_differs_is_told_by_path(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Added, removed, changed; ids of releases or files, in either order."""
    schema = tree.schema()
    schema["fields"].insert(-1, {"name": "mood", "type": ["null", "long"], "default": None})
    schema["fields"].remove(field_of(schema, "timestamp_iso"))
    field_of(schema, "event_properties.segment_id").update(doc="Words.", number="integer")
    file = tree.root.parent / "next.avsc"
    file.write_text(json.dumps(schema))
    was = field_of(tree.schema(), "event_properties.segment_id")["doc"]
    status, lines, told = diff(tree, capsys, "Event_AppOpened_5_0_0", str(file))

    assert (status, told) == (0, "")
    assert lines == [
        "- timestamp_iso: nullable text",
        f"~ event_properties.segment_id: doc: {was} -> Words.",
        "~ event_properties.segment_id: number: nothing -> integer",
        "+ mood: nullable integer",
        f"{file} reads data of Event_AppOpened_5_0_0",
    ]
    assert "+ timestamp_iso: nullable text" in diff(tree, capsys, str(file), "Event_AppOpened_5_0_0")[1]


def test_what_cannot_be_read_is_told(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1, and the reason."""
    status, lines, told = diff(tree, capsys, "Event_AppOpened_5_0_0", "Event_AppInstalled_5_0_0")

    assert status == 1
    assert lines[-1] == "Event_AppInstalled_5_0_0 cannot read data of Event_AppOpened_5_0_0"
    assert told == "the whole: record AppOpened became record AppInstalled\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("Event_AppOpened_9_9_9", "neither a released schema id nor a file"), ("README.md", "not JSON")],
)
def test_what_is_no_schema_is_told(
    tree: Tree, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    """Exit status 1, and a sentence."""
    status, lines, told = diff(tree, capsys, "Event_AppOpened_5_0_0", name)

    assert (status, lines) == (1, [])
    assert told.startswith(f"{name}: {reason}")
