"""Schemas that `check` refuses: not Avro, or unsupported by Tapline."""

import pytest

from tests.unit.schemas.tree import OPENED, Schema, Tree, faults, field_of


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "recursion"),
        ("{}", "not an Avro schema: "),
        ("5", "not an Avro schema: "),
        ('"string"', "its record must be named AppOpened"),
        ('["null"]', "its record must be named AppOpened"),
        ('{"type": "record", "name": "AppOpened"}', "received_at must be a long"),
        (
            '{"type": "record", "name": "AppOpened", "fields": [{"name": "a", "type": "nonsense"}]}',
            "not an Avro schema: ",
        ),
        ('{"type": "record", "name": "AppOpened", "fields": [{"name": "a"}]}', "not an Avro schema: "),
        (
            '{"type": "record", "name": "AppOpened", "fields": [{"name": "a b", "type": "string"}]}',
            "a b: a name must be a letter, then letters, digits and underscores",
        ),
        ('{"type": "record", "name": "AppOpened", "fields": 5}', "not an Avro schema: "),
        ('{"type": "record", "name": "AppOpened", "fields": [5]}', "not an Avro schema: "),
        ('{"type": "enum", "name": "AppOpened", "symbols": ["A"]}', "must be a record"),
    ],
)
def test_what_is_no_schema_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], data: str, fault: str
) -> None:
    """Files that are not JSON, or that fastavro refuses."""
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
            "device_properties.os: Tapline does not support the type",
        ),
        (
            "device_properties.os",
            {"type": ["string", "null"]},
            "device_properties.os: Tapline does not support the type",
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
        ("session_id", {"member": "timestamp_iso"}, "timestamp_iso: a member of two fields"),
        ("session_id", {"member": ""}, "session_id: the member it is read from must be a name"),
        ("session_id", {"doc": 5}, "session_id: its doc must be text"),
        (
            "session_id",
            {"number": "float"},
            "session_id: its number is 'float', but must be decimal or integer",
        ),
        ("device_properties.wifi", {"category": True}, "device_properties.wifi: only text can have the"),
        ("timestamp", {"number": "integer"}, "timestamp: only text can have the attribute number"),
        ("app_id", {"name": "app"}, "app_id must be there: text, not null"),
        ("timestamp", {"type": "long"}, "timestamp must be there: moment, not null"),
        ("extra", {"type": "string", "default": ""}, "extra must be there: text, nullable"),
    ],
)
def test_what_tapline_cannot_use_is_refused(
    tree: Tree, capsys: pytest.CaptureFixture[str], path: str, change: Schema, fault: str
) -> None:
    """Valid Avro that our compiler or ClickHouse does not support."""
    tree.change(lambda schema: field_of(schema, path).update(change))

    assert any(line.startswith(f"{OPENED}: {fault}") for line in faults(tree, capsys))


def test_a_column_of_two_fields_is_refused(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Derived columns count too."""

    def change(schema: Schema) -> None:
        field_of(schema, "session_id")["number"] = "integer"
        field_of(schema, "timestamp_iso")["name"] = "session_id_number"

    tree.change(change)

    assert faults(tree, capsys) == [f"{OPENED}: session_id_number: a column of two fields"]


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
