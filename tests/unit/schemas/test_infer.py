"""Data without a column -> the next schema: its types, names and docs; and reported exceptions."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import evolution, schema_model, version
from schemas.catalog.catalog import Catalog, Release, table_problems
from schemas.codec.events import Decoded, EventDecoder
from schemas.codec.row_to_json import body_of
from schemas.inference.field_profile import PATHS_MAX, FieldProfile
from schemas.inference.infer import Proposal, propose
from tests.support.process import SAMPLES
from tests.unit.schemas import avro
from tests.unit.schemas.bodies import CATALOG, events, parse

DECODER = EventDecoder(CATALOG)


def seen(event_type: str, *bodies: dict[str, Any]) -> FieldProfile:
    """Return a profile of events, as from the tables that ingest fills."""
    found = FieldProfile()
    envelope = {"event_type": event_type, "event_id": "e", "app_id": "a", "device_id": "d", "timestamp": 1}
    for body in bodies:
        add(found, DECODER.decode(json.dumps(envelope | body).encode(), {}))
    return found


def add(found: FieldProfile, event: Decoded) -> None:
    """Count an event by its row."""
    record = avro.read(event.release, event.encode(1))
    found.add(record["extra"] or "", record.get("raw") or "", record["metadata"]["schema_id"] or "")


def proposed(values: list[Any], name: str = "thing") -> dict[str, Any] | None:
    """Return the field that is proposed for values of an unknown member of event_properties."""
    found = propose(
        CATALOG, "AppOpened", seen("AppOpened", *({"event_properties": {name: v}} for v in values))
    )
    return declarations(found).get(f"event_properties.{name}")


def declarations(proposal: Proposal) -> dict[str, dict[str, Any]]:
    """Return every field of a proposed schema, by path."""
    found: dict[str, dict[str, Any]] = {}
    for field in proposal.schema["fields"] if proposal.schema else ():
        found[field["name"]] = field
        if isinstance(field["type"], dict) and "fields" in field["type"]:
            found |= {f"{field['name']}.{inner['name']}": inner for inner in field["type"]["fields"]}
    return found


LONG, MOMENT = "long", {"type": "long", "logicalType": "timestamp-millis"}
LIST = {"type": "array", "items": "string"}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None], "string"),
        ([True, False, None], "boolean"),
        ([1, -(2**63)], LONG),
        ([1, "x"], "string"),
        ([True, "x"], "string"),
        ([["a", 1, True]], LIST),
        ([["a"], [], None, "x", ["b"]], LIST),
        ([["a"], "x", "y"], "string"),
        ([1_760_000_000_000], LONG),
    ],
)
def test_the_type_is_what_most_values_are(values: list[Any], kind: Any) -> None:
    """Always nullable; values of several scalar kinds become text."""
    field = proposed(values)

    assert field is not None
    assert (field["type"], field["default"]) == (["null", kind], None)
    assert "number" not in field


@pytest.mark.parametrize(
    "values", [[None], [[]], [""], [None, [], ""], [{"a": 1}], [[{"a": 1}]], [[["a"]]], [[None]]]
)
def test_what_no_column_holds_is_told(values: list[Any]) -> None:
    """Objects and lists of them; and fields without values, because a type never changes."""
    found = propose(
        CATALOG, "AppOpened", seen("AppOpened", *({"event_properties": {"x": v}} for v in values))
    )

    assert (found.schema, found.proposed) == (None, ())
    assert [line.partition(":")[0] for line in found.not_proposed] == ["event_properties.x"]


@pytest.mark.parametrize(
    ("name", "values", "number"),
    [
        ("thing", ["19.90", "5", ""], "decimal"),
        ("thing", ["3", "-1"], "integer"),
        ("gift_total", ["3"], "decimal"),
        ("total_items", ["3"], "integer"),
        ("thing", [1.5, 2], "decimal"),
        ("thing", [1, 2**63], "decimal"),
        ("thing", ["1", 2], "integer"),
        ("gift_id", ["3"], None),
        ("os_version", ["15.5"], None),
        ("zip", ["10115"], None),
        ("thing", ["007"], None),
        ("thing", ["1.23456"], None),
        ("thing", ["3", "three"], None),
        ("thing", ["1234567890123456"], None),
        ("thing", [3], None),
    ],
)
def test_text_that_counts_gets_a_number(name: str, values: list[Any], number: str | None) -> None:
    """By its values, and by its name where the values look like an id or a version."""
    field = proposed(values, name)

    assert field is not None
    assert field.get("number") == number


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("ends_at", 1_760_000_000_000, MOMENT), ("ends_at", 1_760_000_000, LONG), ("time", -5, LONG)],
)
def test_a_moment_is_told_by_name_and_range(name: str, value: int, kind: Any) -> None:
    """Milliseconds of the years 2010 to 2099, under a matching name."""
    field = proposed([value], name)

    assert field is not None
    assert field["type"] == ["null", kind]


def test_an_enumeration_is_documented_with_its_counts() -> None:
    """Few values, each frequent; not ids, and not free text."""
    field = proposed(["gold"] * 15 + ["silver"] * 10 + [None], "tier")
    id_field = proposed(["gold"] * 25, "tier_id")
    free = proposed([f"text {number}" for number in range(40)], "note")
    wild = proposed(["nice: it's <b>"] * 40, "note")

    assert field is not None
    assert field["category"] is True
    assert field["doc"] == (
        "Inferred from what arrived: in 26 of 26 events, 1 null."
        " Seen: gold (15), silver (10); other values may come."
    )
    for other in (id_field, free, wild):
        assert other is not None
        assert "category" not in other
        assert "Seen" not in other["doc"]


def test_fields_are_found_everywhere() -> None:
    """At the top level, in every block, and in new blocks; existing fields stay unchanged."""
    body = {
        "tier": "gold",
        "device_properties": {"battery": "0.5"},
        "metadata": {"batch": 5},
        "loyalty_properties": {"points": "12", "since": 1_760_000_000_000, "cards": [{"a": 1}]},
    }
    found = propose(CATALOG, "AppOpened", seen("AppOpened", body))
    older = CATALOG.newest("AppOpened")
    assert older is not None
    assert found.schema is not None
    new = declarations(found).keys() - schema_model.leaves(older.schema).keys()

    assert {name for name in new if "." in name or name == "tier"} == {
        "tier", "device_properties.battery", "metadata.batch",
        "loyalty_properties.points", "loyalty_properties.since",
    }  # fmt: skip
    assert [line.split(":")[0] for line in found.not_proposed] == ["loyalty_properties.cards"]
    assert found.schema["fields"][-1]["name"] == "extra"
    assert (found.version, found.file) == ((5, 1, 0), "avro/mobile/AppOpened/5_1_0.avsc")
    assert "+++ avro/mobile/AppOpened/5_1_0.avsc" in found.diff()
    assert not [line for line in found.diff().splitlines()[2:] if line.startswith("-") and line.endswith("{")]


def test_names_that_are_no_names_get_one() -> None:
    """With their original member; if no name is possible, that is reported."""
    properties = {
        'say "hi"': "g",
        "gift-note": "a",
        "1st order": "b",
        "_id": "c",
        "price": "5.00",
        "price_amount": "6.00",
        "€": "d",
    }
    body = {"event_properties": properties, "received_at": 5, "x": "y" * 3, "gift.note": "e", "n" * 200: "f"}
    found = propose(CATALOG, "AppOpened", seen("AppOpened", body))
    renamed = {path: f["member"] for path, f in declarations(found).items() if "member" in f}

    assert renamed == {
        "event_properties.gift_note": "gift-note", "event_properties.n1st_order": "1st order",
        "event_properties.id": "_id", "gift_note": "gift.note",
    }  # fmt: skip
    told = {line.partition(": ")[0]: line.partition(": ")[2] for line in found.not_proposed}
    assert told["received_at"].startswith("name is reserved by Tapline")
    assert told["event_properties.€"].startswith("no column name can be formed from its name")
    assert told['event_properties.say "hi"'].startswith("no column name can be formed from its name")
    assert told["n" * 200].startswith("its name is too long")
    assert told["event_properties.price"].startswith("text without a number column")
    assert "number" not in declarations(found)["event_properties.price"]


def test_values_that_do_not_fit_a_known_field_are_told() -> None:
    """The field's type stays unchanged."""
    body = {"session_id": {"a": 1}, "device_properties": {"os": [{}]}, "app_properties": "none"}
    found = propose(CATALOG, "AppOpened", seen("AppOpened", body))

    assert found.schema is None
    assert sorted(line.partition(":")[0] for line in found.not_proposed) == [
        "app_properties", "device_properties.os", "session_id.a",
    ]  # fmt: skip
    assert all("already known" in line for line in found.not_proposed)


def test_fields_that_are_too_rare_are_told() -> None:
    """At least the requested number of events must have them."""
    found = propose(CATALOG, "AppOpened", seen("AppOpened", {"a": "x", "b": "y"}, {"a": "x"}), events_min=2)

    assert [line.partition(":")[0] for line in found.proposed] == ["a"]
    assert found.not_proposed[0].startswith("b: in fewer than 2 events")


def test_who_sends_names_without_end_fills_no_memory() -> None:
    """A limited number is examined; the others are only counted."""
    body = {f"name_{number}": "x" * 20 for number in range(PATHS_MAX + 7)}
    found = seen("AppOpened", body)

    assert (len(found.paths), found.beyond) == (PATHS_MAX, 7)
    assert "7 values under names beyond" in propose(CATALOG, "AppOpened", found).not_proposed[-1]


def test_a_new_type_has_what_all_types_have() -> None:
    """Plus its own event_properties; its version is the one in the events."""
    body = {
        "metadata": {"schema_id": "Event_Wished_5_0_0"},
        "event_properties": {"list_id": "7", "price": "9.50"},
    }
    found = propose(CATALOG, "Wished", seen("Wished", body, body | {"metadata": {}}))
    assert found.schema is not None
    catalog = Catalog((*CATALOG.releases, release_of(found)))

    assert found.file == "avro/mobile/Wished/5_0_0.avsc"
    assert [*evolution.problems(catalog), *table_problems(catalog.releases)] == []
    assert [field["name"] for field in declarations(found)["event_properties"]["type"]["fields"]] == [
        "list_id", "price",
    ]  # fmt: skip
    assert found.diff().startswith("--- /dev/null\n+++ avro/mobile/Wished/5_0_0.avsc\n")
    assert propose(CATALOG, "Wished", seen("Wished", {})).version == (1, 0, 0)


@pytest.mark.parametrize("name", ["a b", "é", "Events", "Clickstream", "1st", "APPOpened", "x" * 200])
def test_a_type_that_can_have_no_schema_is_told(name: str) -> None:
    """Its events stay in unmodelled."""
    found = propose(CATALOG, name, seen(name, {"event_properties": {"a": "b"}}))

    assert found.schema is None
    assert "so its events stay in unmodelled" in found.not_proposed[0]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_samples_lead_to_the_schemas_that_people_made(path: Any) -> None:
    """If the sample's type were unknown, the inferred schema would equal the released one."""
    event = json.loads(path.read_bytes())
    release = CATALOG.newest(event["event_type"])
    assert release is not None
    wanted = declarations(Proposal("", None, release.schema, (0, 0, 0), (), ()))
    found = seen("Wished", {name: value for name, value in event.items() if isinstance(value, dict)})
    new = declarations(propose(CATALOG, "Wished", found))
    known = schema_model.leaves(CATALOG.unmodelled.schema)

    for name, field in new.items():
        if name.startswith("event_properties.") or name not in {*known, "event_properties"}:
            assert (field["type"], field.get("number")) == (
                wanted[name]["type"],
                wanted[name].get("number"),
            ), name


def release_of(proposal: Proposal) -> Release:
    """Return a proposal in its released form."""
    assert proposal.schema is not None
    schema_id = f"Event_{proposal.event_type}_{version.words(proposal.version)}"
    wire_id = len(CATALOG.releases) + 1
    return Release(wire_id, schema_id, "mobile", proposal.event_type, proposal.version, proposal.schema, "")


@settings(max_examples=25)
@given(bodies=st.lists(events(), min_size=1, max_size=4), event_type=st.sampled_from(["Wished", "AppOpened"]))
def test_any_proposal_is_sound_and_loses_nothing(bodies: list[bytes], event_type: str) -> None:
    """For any data: it can be released, and re-typed rows equal directly typed ones."""
    found = FieldProfile()
    decoded = []
    for body in bodies:
        own = json.dumps(event_type).encode()
        event = DECODER.decode(body.rstrip()[:-1] + b', "event_type": ' + own + b"}", {})
        add(found, event)
        decoded.append((body.rstrip()[:-1] + b', "event_type": ' + own + b"}", event))
    proposal = propose(CATALOG, event_type, found)
    if proposal.schema is None:
        return
    assert [*schema_model.problems(proposal.schema, "mobile")] == []
    catalog = Catalog((*CATALOG.releases, release_of(proposal)))
    assert [*evolution.problems(catalog)] == []
    decoder = EventDecoder(catalog)
    for body, event in decoded:
        row = columns_of(avro.read(event.release, event.encode(7)))
        again = decoder.decode(body_of(schema_model.fields(event.release.schema), row), {})
        first = decoder.decode(body, {})

        assert again.release == first.release
        assert same(columns_of(avro.read(again.release, again.encode(7)))) == same(
            columns_of(avro.read(first.release, first.encode(7)))
        )


def columns_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in its table's form: texts and lists never null, blocks dotted."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        inner = (
            {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
        )
        found |= inner
    return {name: "" if value is None else value for name, value in found.items()}


def same(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its JSON parsed, so that order does not matter; an empty list counts as missing."""
    extra = parse(row["extra"]) if row["extra"] else {}
    if extra.get("event_properties", "") is None:
        del extra["event_properties"]  # null in one, unknown in the other
    return {name: value for name, value in (row | {"extra": extra}).items() if value not in ("", [], {})}
