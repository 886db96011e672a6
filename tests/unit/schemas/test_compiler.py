"""The generated encoders, compared with fastavro byte by byte."""

import dataclasses
import linecache
import textwrap
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import wire
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_model import BLOCK
from schemas.codec import compiler
from schemas.codec.compiler import Codec, compile_release
from schemas.codec.varint import long
from tests.unit.schemas import avro

RELEASES = {release.schema_id: release for release in Catalog.load().releases}
CODECS = {schema_id: compile_release(release) for schema_id, release in RELEASES.items()}


def struct_of(codec: Codec, record: dict[str, Any]) -> msgspec.Struct:
    """Return the codec's Struct that holds an Avro record."""
    values = {
        field.name: codec.blocks[field.name].type(**record[field.name])
        if field.kind == BLOCK
        else record[field.name]
        for field in codec.fields
    }
    return codec.struct(**values)


@pytest.mark.parametrize("schema_id", RELEASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_bytes_are_those_of_fastavro(schema_id: str, data: st.DataObject) -> None:
    """For all values our bytes equal fastavro's, and fastavro reads them back."""
    release, codec = RELEASES[schema_id], CODECS[schema_id]
    record = data.draw(avro.values(release.schema))
    if release.family == "mobile":
        record["event_type"] = release.name
    extra = record.get("extra")

    value = codec.encode(
        struct_of(codec, record), record["received_at"], None if extra is None else extra.encode()
    )

    assert value[: wire.HEADER_BYTES] == wire.prefix(release.wire_id)
    assert value[wire.HEADER_BYTES :] == avro.write(release, record)
    assert avro.read(release, value) == record


@given(number=avro.INT64 | st.integers(-40_000, 40_000))
@settings(max_examples=500, deadline=None)
def test_numbers_are_those_of_fastavro(number: int) -> None:
    """Every number of 64 bits is encoded as fastavro does."""
    release = dataclasses.replace(RELEASES["Event_Quarantine_1_0_0"], schema={"type": "long"})

    assert long(number) == avro.write(release, number)


@pytest.mark.parametrize("power", range(64))
def test_numbers_at_the_edges_are_those_of_fastavro(power: int) -> None:
    """Powers of two and their neighbours, where the number of bytes changes."""
    release = dataclasses.replace(RELEASES["Event_Quarantine_1_0_0"], schema={"type": "long"})

    for number in (2**power - 1, -(2**power), -(2**power) + 1):
        assert long(number) == avro.write(release, number)


def test_an_absent_block_is_a_block_of_nulls() -> None:
    """ClickHouse fills no columns from a null record, so no block is null."""
    codec = CODECS["Event_AppOpened_5_0_0"]
    event = codec.struct(event_id="e", app_id="a", device_id="d", timestamp=1)

    record = avro.read(codec.release, codec.encode(event, 2, None))

    assert set(record["device_properties"].values()) == {None}


def test_fields_named_like_words_of_python_work() -> None:
    """Fields named `class` or `from` work."""
    release = with_field({"name": "from", "type": ["null", "string"], "default": None})
    codec = compile_release(release)
    event = msgspec.json.decode(
        b'{"event_type":"AppInstalled","event_id":"e","app_id":"a","device_id":"d","timestamp":1,"from":"here"}',
        type=codec.struct,
    )

    assert avro.read(release, codec.encode(event, 2, None))["from"] == "here"


@pytest.mark.parametrize(
    ("avro_type", "value"),
    [("boolean", True), ("long", -7), (["null", "long"], 2**40)],
)
def test_every_kind_of_field_is_encoded(avro_type: Any, value: object) -> None:
    """Kinds that no released schema uses yet also match fastavro."""
    release = with_field({"name": "new", "type": avro_type})
    codec = compile_release(release)
    event = codec.struct(event_id="e", app_id="a", device_id="d", timestamp=1, new=value)

    assert avro.read(release, codec.encode(event, 2, None))["new"] == value


def test_a_traceback_shows_the_generated_line() -> None:
    """Python finds the encoder's source under the file name in its tracebacks."""
    codec = CODECS["Event_AppOpened_5_0_0"]
    name = codec.encode.__code__.co_filename

    assert "event.event_id.encode()" in "".join(linecache.getlines(name))


def with_field(field: dict[str, Any]) -> Release:
    """Return a release with an additional top-level field."""
    release = RELEASES["Event_AppInstalled_5_0_0"]
    schema = {**release.schema, "fields": [*release.schema["fields"], field]}
    return dataclasses.replace(release, schema=schema)


def test_the_sample_in_the_docstring_is_what_is_generated() -> None:
    """A reader of the compiler sees a real encoder."""
    moment = {"type": "long", "logicalType": "timestamp-millis"}
    fields: list[dict[str, Any]] = [
        {"name": "greeting", "type": ["null", "string"], "default": None},
        {"name": "again", "type": ["null", "boolean"], "default": None},
    ]
    block = {"type": "record", "name": "WavedProperties", "fields": fields}
    schema = {
        "type": "record",
        "name": "Waved",
        "fields": [
            {"name": "event_type", "type": "string"},
            {"name": "event_id", "type": "string"},
            {"name": "received_at", "type": moment},
            {"name": "event_properties", "type": block, "default": {"greeting": None, "again": None}},
            {"name": "extra", "type": ["null", "string"], "default": None},
        ],
    }
    compile_release(Release(1, "Event_Waved_1_0_0", "mobile", "Waved", (1, 0, 0), schema, ""))
    generated = linecache.getlines("<encoder of Event_Waved_1_0_0>")

    assert textwrap.indent("".join(generated), "    ").strip() in (compiler.__doc__ or "")
