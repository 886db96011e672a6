"""A sent event and its row in a view -> the paths whose values the row lacks.

It is independent of the encoder: no code of `schemas` takes part. Source:
docs/decisions/0006-lenient-decoding.md: a value is in the column of its path, or under its path in `extra`,
or, for an unmodelled event, in its JSON.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from json import dumps, loads
from typing import Any

Row = Mapping[str, Any]

_NONE: tuple[Any, ...] = (None, "", [], {})
_JSON_TEXTS = (
    "data",
    "properties",
    "mp_metadata",
)  # clickstream columns with JSON as sent


def missing(event: Mapping[str, Any], row: Row) -> list[str]:
    """Return the missing paths; empty if everything sent is there."""
    extra = loads(row["extra"] or "{}")
    whole = {"event_properties": loads(row["raw"])} if row.get("raw") else {}
    whole |= {name: loads(row[name]) for name in _JSON_TEXTS if row.get(name)}
    return list(_missing(event, "", row, extra, whole))


def _missing(sent: Any, path: str, row: Row, extra: Row, whole: Row) -> Iterator[str]:
    if _is_at(sent, path, row) or (path in extra and extra[path] == sent) or _holds(whole.get(path), sent):
        return
    if isinstance(sent, dict) and sent:
        for name, value in sent.items():
            step = name.replace("%", "%25").replace(".", "%2E")
            yield from _missing(value, f"{path}.{step}" if path else step, row, extra, whole)
    elif sent not in _NONE or (path in row and row[path] not in (*_NONE, False, 0)):
        yield path


def _is_at(sent: Any, path: str, row: Row) -> bool:
    """Return whether the column of this path has the sent value; numbers may be text."""
    if path not in row:
        return False
    return _says(row[path], sent)


def _says(column: Any, sent: Any) -> bool:
    if sent is None:
        return column in _NONE
    if isinstance(sent, list) and isinstance(column, list) and len(sent) == len(column):
        return all(map(_says, column, sent))
    if isinstance(sent, bool) or isinstance(column, bool):
        return bool(column == sent or column == dumps(sent))
    if isinstance(sent, int | float):
        return _number(column) in (Decimal(str(sent)), Decimal(str(sent)) / 1000)
    return bool(column == sent)


def _number(column: Any) -> Decimal | None:
    try:
        return Decimal(str(column))
    except InvalidOperation:
        return None


def _holds(column: Any, sent: Any) -> bool:
    """Return whether a JSON column has the sent value; it has neither null nor empty objects."""
    if column is None:
        return False
    if isinstance(sent, dict) and isinstance(column, dict):
        return all(value in _NONE or _holds(column.get(name), value) for name, value in sent.items())
    if isinstance(sent, int | float) and not isinstance(sent, bool):
        return _number(column) == Decimal(str(sent))
    return bool(column == sent)
