"""Allowed changes of a new version, checked against fastavro's schema resolution."""

import io
from itertools import zip_longest
from typing import Any

import fastavro
import pytest
from fastavro.schema import SchemaParseException
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from schemas.catalog.evolution import backward_problems

Schema = Any


def record(**fields: Schema) -> Schema:
    """Return a record; a field is its type, or a dictionary with its type as `of` and more attributes."""
    declared = [
        field if isinstance(field, dict) and "of" in field else {"of": field} for field in fields.values()
    ]
    return {
        "type": "record",
        "name": "Event",
        "fields": [
            {"name": name, "type": field["of"]} | {key: value for key, value in field.items() if key != "of"}
            for name, field in zip(fields, declared, strict=True)
        ],
    }


def enum(*symbols: str, **more: Any) -> Schema:
    """Return an enum."""
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def block(**fields: Schema) -> Schema:
    """Return a record within a record."""
    return record(**fields) | {"name": "Block"}


ARRAY = {"type": "array", "items": "string"}
TIME = {"type": "long", "logicalType": "timestamp-millis"}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (record(a="string"), record(a="string")),
        (record(a="string"), record(a="string", b={"of": ["null", "string"], "default": None})),
        (record(a="string", b="string"), record(a="string")),
        (record(a="string", b="long"), record(b="long", a="string")),
        (record(a="string"), record(b={"of": "string", "aliases": ["a"]})),
        (record(a="string"), record(a=["null", "string"])),
        (record(a="null"), record(a=["null", "string"])),
        (record(a=["null", "int"]), record(a=["null", "string", "double"])),
        (record(a="int"), record(a="long")),
        (record(a="long"), record(a=TIME)),
        (record(a="float"), record(a="double")),
        (record(a="string"), record(a="bytes")),
        (record(a=ARRAY), record(a={"type": "array", "items": ["null", "string"]})),
        (record(a=enum("x")), record(a=enum("y", "x"))),
        (record(a=enum("x", "z")), record(a=enum("x", "y", default="y"))),
        (record(a=block(b="int")), record(a=block(b="long", c={"of": "int", "default": 1}))),
        (record(a=block(b="int"), c="Block"), record(a=block(b="long"), c="Block")),
        (record(a=["null", "Event"]), record(a=["null", "Event"])),
        (record(a={"type": "string"}), record(a="string")),
        (record(a={"type": "map", "values": "int"}), record(a={"type": "map", "values": "long"})),
        ("int", "long"),
    ],
)
def test_what_a_new_version_may_change(older: Schema, newer: Schema) -> None:
    """Added fields need a default, fields may be removed, types may only widen."""
    assert backward_problems(older, newer) == ()


@pytest.mark.parametrize(
    ("older", "newer", "problem"),
    [
        (record(a="string"), record(a="string", b="string"), "b: new, but has no default"),
        (record(a="string"), record(a="string", b=["null", "string"]), "b: new, but has no default"),
        (record(a="string"), record(a="long"), "a: string became long"),
        (record(a="long"), record(a="int"), "a: long became int"),
        (record(a="double"), record(a="float"), "a: double became float"),
        (record(a=["null", "string"]), record(a="string"), "a: null became string"),
        (record(a=["null", "string"]), record(a=["null", "long"]), "a: string is none of null | long"),
        (record(a=ARRAY), record(a={"type": "array", "items": "long"}), "a[]: string became long"),
        (
            record(a=["null", ARRAY]),
            record(a=["null", {"type": "array", "items": "int"}]),
            "a[]: string became int",
        ),
        (
            record(a={"type": "map", "values": "long"}),
            record(a={"type": "map", "values": "int"}),
            "a{}: long became int",
        ),
        (record(a=enum("x", "z")), record(a=enum("x")), "a: no longer has z"),
        (record(a=block(b="int")), record(a=block(b="int", c="int")), "a.c: new, but has no default"),
        (
            record(a=block(b="int"), c="Block"),
            record(a="string", c="string"),
            "a: record Block became string",
        ),
        (
            record(a=block(b="int")),
            record(a=block(b="int") | {"name": "Other"}),
            "a: record Block became record Other",
        ),
        (
            record(a={"type": "fixed", "name": "F", "size": 2}),
            record(a={"type": "fixed", "name": "F", "size": 3}),
            "a: 2 bytes became 3",
        ),
        (record(a=ARRAY), record(a="string"), "a: array became string"),
        ("string", "long", "the whole: string became long"),
    ],
)
def test_what_a_new_version_must_not_change(older: Schema, newer: Schema, problem: str) -> None:
    """The problem names the path and the reason."""
    assert problem in backward_problems(older, newer)


PLAIN_TYPES = ["null", "boolean", "int", "long", "float", "double", "string", "bytes"]
PLAIN = st.sampled_from(PLAIN_TYPES)
SYMBOLS = st.lists(st.sampled_from("xyz"), min_size=1, max_size=3, unique=True)


@pytest.mark.parametrize("newer", PLAIN_TYPES)
@pytest.mark.parametrize("older", PLAIN_TYPES)
def test_fastavro_agrees_on_every_pair_of_plain_types(older: str, newer: str) -> None:
    """Widening is allowed, and nothing else."""
    writer, reader = record(a=older), record(a=newer)

    assert (backward_problems(writer, reader) == ()) is _reads(writer, reader, _every_kind(writer)[0])


ENUMS = st.builds(
    lambda symbols, has_default: enum(*symbols, **({"default": symbols[0]} if has_default else {})),
    SYMBOLS,
    st.booleans(),
)


def _composite(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return (
        inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda values: {"type": "map", "values": values})
        | st.lists(PLAIN, min_size=1, max_size=3, unique=True)
    )


TYPES = st.recursive(PLAIN, _composite, max_leaves=3) | ENUMS
FIELDS = st.dictionaries(
    st.sampled_from("abc"), TYPES | st.just({"of": ["null", "string"], "default": None}), min_size=1
)


@settings(max_examples=400, deadline=None)
@given(older=FIELDS, newer=FIELDS, kept=st.sets(st.sampled_from("abc")))
def test_fastavro_agrees(older: dict[str, Schema], newer: dict[str, Schema], kept: set[str]) -> None:
    """We find no problem exactly if fastavro reads every kind of value that the older schema can write."""
    writer = record(**older)
    reader = record(**newer | {name: older[name] for name in kept if name in older})
    try:
        parsed = fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    except SchemaParseException:
        reject()

    assert (backward_problems(writer, reader) == ()) is all(
        _reads(*parsed, one) for one in _every_kind(writer)
    )


def _reads(writer: Schema, reader: Schema, value: Any) -> bool:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, writer, value)
    body.seek(0)
    try:
        fastavro.schemaless_reader(body, writer, reader)
    except fastavro.read.SchemaResolutionError:
        return False
    return True


def _every_kind(schema: Schema) -> list[Any]:
    """Return values that cover every branch and every symbol."""
    match schema:
        case [*branches]:
            return [value for branch in branches for value in _every_kind(branch)]
        case {"fields": fields}:
            columns = [_every_kind(field["type"]) for field in fields]
            names = [field["name"] for field in fields]
            rows = zip_longest(*columns, fillvalue=...)
            return [
                {
                    name: column[0] if part is ... else part
                    for name, column, part in zip(names, columns, row, strict=True)
                }
                for row in rows
            ]
        case {"items": items}:
            return [_every_kind(items)]
        case {"values": values}:
            return [{str(index): value for index, value in enumerate(_every_kind(values))}]
        case {"symbols": symbols}:
            return list(symbols)
    plain: dict[str, Any] = {
        "null": None,
        "boolean": True,
        "string": "s",
        "bytes": b"b",
        "float": 1.5,
        "double": 1.5,
    }
    return [plain.get(schema, 1)]
