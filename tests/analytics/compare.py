"""A view's rows and the expected rows -> their differences: none, to the last digit."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from tests.support.warehouse import Tables

_EXACT = "output_format_json_quote_64bit_integers = 0, output_format_json_quote_decimals = 1"
_SHOWN_MAX = 3
_MOMENTS = frozenset({"started_at", "ended_at", "ordered_at", "abandoned_at"})


def difference(tables: Tables, view: str, prefix: str, expected: pl.DataFrame) -> str:
    """Return how the view's rows, of apps whose ids begin with `prefix`, differ; empty if they are equal."""
    sql = f"SELECT * FROM tapcart.{view} WHERE startsWith(app_id, '{prefix}')"
    said = json.loads(tables.run(f"{sql} FORMAT JSONCompact SETTINGS {_EXACT}"))
    names = [column["name"] for column in said["meta"]]
    if set(names) != set(expected.columns):
        return f"{view}: columns {sorted(set(names) ^ set(expected.columns))} are in one only"
    amounts = {column["name"] for column in said["meta"] if "Decimal" in column["type"]}
    got = {_told(names, row, amounts) for row in said["data"]}
    wanted = {_meant(names, row, amounts) for row in expected.iter_rows(named=True)}
    if len(got) != len(said["data"]) or not wanted:
        return f"{view}: {len(said['data']) - len(got)} rows are there twice; {len(wanted)} expected"
    missing, more = sorted(map(str, wanted - got)), sorted(map(str, got - wanted))
    if not missing and not more:
        return ""
    shown = "\n".join(
        [*(f"- {row}" for row in missing[:_SHOWN_MAX]), *(f"+ {row}" for row in more[:_SHOWN_MAX])]
    )
    return f"{view}: {len(missing)} of {len(wanted)} rows are missing, {len(more)} are too many\n{shown}"


def _told(names: list[str], row: list[Any], amounts: set[str]) -> tuple[Any, ...]:
    return tuple(
        Decimal(value) if name in amounts and value is not None else _hashable(value)
        for name, value in zip(names, row, strict=True)
    )


def _meant(names: list[str], row: dict[str, Any], amounts: set[str]) -> tuple[Any, ...]:
    return tuple(_words(name, row[name], is_amount=name in amounts) for name in names)


def _words(name: str, value: Any, *, is_amount: bool) -> Any:
    if value is None:
        return None
    if is_amount:
        return Decimal(value) / 10_000
    if name in _MOMENTS:
        seconds, milliseconds = divmod(value, 1000)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{milliseconds:03d}"
    return value.isoformat() if isinstance(value, date) else _hashable(value)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
