"""Several versions of one schema: which may be released, and which one reads an event."""

import json

import pytest

from schemas.__main__ import main
from schemas.catalog.catalog import Catalog
from schemas.codec.events import EventDecoder
from tests.support.process import SAMPLES
from tests.unit.schemas import avro
from tests.unit.schemas.tree import RELEASED, UNMODELLED, Tree, faults, field_of


def test_an_incompatible_version_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """The fault names both versions, the field and the reason."""
    schema = tree.schema()
    schema["fields"].append({"name": "new", "type": "string"})
    source = field_of(schema, "event_properties.source")
    source["type"] = ["null", "long"]
    del source["category"]
    tree.release("avro/mobile/AppOpened/5_1_0.avsc", schema)
    column = "its column is LowCardinality(String) and cannot become Nullable(Int64)"
    words = "Event_AppOpened_5_1_0 cannot read data of Event_AppOpened_5_0_0"

    assert faults(tree, capsys) == [
        f"{words}: event_properties.source: string is none of null | long",
        f"{words}: new: new, but has no default",
        f"Event_AppOpened_5_1_0: event_properties.source: {column}",
    ]


def test_what_every_event_has_stays(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Non-null fields stay in all versions; a new type has them and the shared blocks."""
    schema = tree.schema(UNMODELLED) | {"name": "Wished"}
    schema["fields"].remove(field_of(schema, "raw"))
    field_of(schema, "device_properties.os")["category"] = False
    schema["fields"].remove(field_of(schema, "session_id"))
    tree.release("avro/mobile/Wished/1_0_0.avsc", schema)
    clickstream = tree.schema("avro/clickstream/Clickstream/1_0_0.avsc")
    clickstream["fields"].remove(field_of(clickstream, "event"))
    tree.release("avro/clickstream/Clickstream/1_1_0.avsc", clickstream)
    shows = "tapcart.events shows it for every event, as"

    assert faults(tree, capsys) == [
        f"Event_Wished_1_0_0: session_id: is missing; {shows} String",
        f"Event_Wished_1_0_0: device_properties.os: is String; {shows} LowCardinality(String)",
        "Event_Clickstream_1_1_0: event: removed, although every event has it",
    ]


def test_versions_are_released_in_order(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """A version lower than a released one is refused."""
    tree.release("avro/mobile/AppOpened/4_9_9.avsc", tree.schema())

    assert faults(tree, capsys) == [
        "Event_AppOpened_5_0_0: released before Event_AppOpened_4_9_9, although its version is higher"
    ]


@pytest.fixture
def two_versions(tree: Tree) -> Catalog:
    """A catalog with AppOpened 5_0_0 and 5_10_0, which has one field more and one less."""
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
    """Older ones by id, the newest also by name."""
    assert two_versions.newest("AppOpened") == two_versions.by_wire_id(RELEASED + 1)
    assert two_versions.by_schema_id("Event_AppOpened_5_0_0") == two_versions.by_wire_id(2)
    assert len(two_versions.newest_releases()) == len(Catalog.load().newest_releases())


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
    """The newest reads events without a known version; fields of other versions go to `extra`."""
    event = json.loads((SAMPLES / "AppOpened.json").read_bytes()) | {"mood": "x", "timestamp_iso": "t"}
    event["metadata"] = {"schema_id": version and f"Event_AppOpened_{version}"}
    decoded = EventDecoder(two_versions).decode(json.dumps(event).encode(), {})
    record = avro.read(decoded.release, decoded.encode(1))

    assert decoded.release.schema_id == f"Event_AppOpened_{release}"
    assert record["metadata"] == event["metadata"]
    assert json.loads(record["extra"]) == extra


def test_an_older_version_is_read_by_a_newer_one_with_all_its_fields(tree: Tree) -> None:
    """Tapcart adds fields under the old name: those known to our newer version become columns."""
    schema = tree.schema()
    schema["fields"].insert(-1, {"name": "mood", "type": ["null", "string"], "default": None})
    tree.release("avro/mobile/AppOpened/5_1_0.avsc", schema)
    event = json.loads((SAMPLES / "AppOpened.json").read_bytes()) | {"mood": "fine"}
    for odd in ({}, {"unheard_of": 1}):
        decoded = EventDecoder(Catalog.load(tree.root)).decode(json.dumps(event | odd).encode(), {})

        assert event["metadata"]["schema_id"] == decoded.schema_id == "Event_AppOpened_5_0_0"
        assert decoded.release.schema_id == "Event_AppOpened_5_1_0"
        assert avro.read(decoded.release, decoded.encode(1))["mood"] == "fine"


def test_a_member_may_have_any_name(tree: Tree) -> None:
    """The field has an Avro name; the decoder knows the member's name."""
    schema = tree.schema()
    odd = {"type": ["null", "string"], "default": None}
    schema["fields"].insert(-1, {"name": "gift_note", "member": "gift-note.1"} | odd)
    block = field_of(schema, "device_properties")
    block["type"]["fields"].append({"name": "os_2", "member": "os 2", "number": "integer"} | odd)
    block["default"]["os_2"] = None
    tree.release("avro/mobile/AppOpened/5_1_0.avsc", schema)
    event = json.loads((SAMPLES / "AppOpened.json").read_bytes()) | {"gift-note.1": "hi", "gift_note": "no"}
    event["device_properties"] |= {"os 2": "17", "os_2": 5}
    decoded = EventDecoder(Catalog.load(tree.root)).decode(json.dumps(event).encode(), {})
    record = avro.read(decoded.release, decoded.encode(1))

    assert (record["gift_note"], record["device_properties"]["os_2"]) == ("hi", "17")
    assert json.loads(record["extra"]) == {"gift_note": "no", "device_properties.os_2": 5}


def test_an_older_version_is_read_though_the_newest_would_take_it(two_versions: Catalog) -> None:
    """Version 5_0_0 has a column that 5_10_0 lacks, and the event names its version."""
    event = json.loads((SAMPLES / "AppOpened.json").read_bytes())
    del event["timestamp_iso"]
    decoded = EventDecoder(two_versions).decode(json.dumps(event).encode(), {})

    assert decoded.release.schema_id == "Event_AppOpened_5_0_0"
    assert (decoded.extra, decoded.odd, decoded.unknown) == (None, (), ())
