"""The columns of ClickHouse's tables, by their types. Pure."""

import re
from collections.abc import Mapping

_TEXT = re.compile(r"(?:(?:LowCardinality|Nullable|Array)\()*String\)*")


def text_columns(columns: Mapping[str, str]) -> list[str]:
    """Return the columns of text, and of lists of text; `columns`: name -> type."""
    return [name for name, kind in columns.items() if _TEXT.fullmatch(kind)]


def lists(kind: str) -> bool:
    """Return whether a column's type is a list."""
    return kind.startswith("Array")
