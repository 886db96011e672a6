"""The fields of a schema -> the columns of its table in ClickHouse. Pure.

Invariants: a column is named by its field's path; an unexpected text never makes an insert fail (derived
columns become null). Source: docs/decisions/0018-clickhouse-tables.md.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOMENT = "DateTime64(3, 'UTC')"
# Limits the columns of a JSON value in a part: further paths and types share one. In ClickHouse's format.
JSON = "JSON(max_dynamic_types=4, max_dynamic_paths=64)"
# Attribute `number` of a text -> suffix of the derived column, its type, expression and comment.
NUMBERS = {
    "decimal": ("_amount", "Nullable(Decimal(18, 4))", "toDecimal64OrNull({}, 4)", "as a number"),
    "integer": ("_number", "Nullable(Int64)", "toInt64OrNull({})", "as a number"),
}
_AVRO_TYPES = {"string": "String", "bytes": "String", "boolean": "Bool", "int": "Int32", "long": "Int64"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    type: str
    comment: str = ""
    materialized: str = ""  # expression
    default: str = ""  # expression


def columns(fields: Iterable[Mapping[str, Any]], block: str = "") -> Iterator[Column]:
    """Yield the columns of a schema's fields in order, including derived ones."""
    for field in fields:
        avro, name, comment = field["type"], f"{block}{field['name']}", field.get("doc", "")
        if isinstance(avro, dict) and avro["type"] == "record":
            yield from columns(avro["fields"], f"{name}.")
            continue
        yield Column(name, "LowCardinality(String)" if field.get("category") else _type(avro), comment)
        if "number" in field:
            suffix, kind, expression, words = NUMBERS[field["number"]]
            derived = f"{name} {words}; null where it is none."
            yield Column(name + suffix, kind, derived, expression.format(f"`{name}`"))
        if field.get("json", name) != name:
            # The only cast to JSON that never fails: text that is not a JSON object becomes {}.
            text = f"accurateCastOrDefault(`{name}`, '{JSON}')"
            yield Column(field["json"], JSON, f"{name} as JSON; empty where it is none.", text)


def repeated(fields: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names that two columns of a schema would share."""
    names = [column.name for column in columns(fields)]
    return sorted({name for name in names if names.count(name) > 1})


def _type(avro: Any) -> str:
    nullable = isinstance(avro, list)
    avro = avro[1] if nullable else avro
    if isinstance(avro, dict) and avro["type"] == "array":
        return "Array(String)"
    kind = MOMENT if isinstance(avro, dict) else _AVRO_TYPES[avro]
    return f"Nullable({kind})" if nullable and kind != "String" else kind
