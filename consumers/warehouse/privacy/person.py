"""The ids of one person -> the SQL condition for the rows of a table about them. Pure.

Invariants: an id counts wherever a text column holds it as a whole word, also inside JSON, whose escapes are
understood. Ids of fewer than `LENGTH_MIN` characters occur by chance, so they count in id columns alone.
Ids are parameters, never part of the statement.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

DEVICE, SHOPPER, SESSION = "device_id", "shopify_user_id", "session_id"
# By kind of id, the columns that hold it.
ID_COLUMNS = {
    DEVICE: ("device_id", "device_properties.device_id"),
    SHOPPER: ("shopify_properties.shopify_user_id",),
    SESSION: ("session_id", "session_properties.session_id"),
}
LENGTH_MIN = 8
_APP = "app_id"
_TEXT = re.compile(r"(?:(?:LowCardinality|Nullable|Array)\()*String\)*")
_WORD = "[^0-9A-Za-z_-]"
# In JSON text the character before a word may be the end of an escape.
_ESCAPE = r"\\[bfnrt]|\\u[0-9A-Fa-f]{4}"


@dataclass(frozen=True, slots=True)
class Person:
    """Ids of one person."""

    ids: Mapping[str, tuple[str, ...]]  # DEVICE, SHOPPER or SESSION -> ids
    app_id: str = ""  # empty: every app

    def with_hashes(self, hashed: Callable[[str], str]) -> "Person":
        """Return the person with the hash of each id too, as redaction has stored it."""
        return replace(self, ids={kind: (*own, *map(hashed, own)) for kind, own in self.ids.items()})

    def condition(self, columns: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Return the condition for a table with `columns` (name -> type), and its parameters."""
        parameters: dict[str, str] = {}
        found = [*self._short(columns, parameters), *self._words(_text_of(columns), parameters)]
        where = f"({' OR '.join(found) or '0'})"
        if self.app_id and _APP in columns:
            # The app of a body that could not be read is unknown.
            parameters["app"] = self.app_id
            where += f" AND {_APP} IN ({{app:String}}, '')"
        return where, parameters

    def _short(self, columns: Mapping[str, str], parameters: dict[str, str]) -> Iterator[str]:
        for kind, ids in self.ids.items():
            for one in ids:
                if len(one) < LENGTH_MIN:
                    name = f"p{len(parameters)}"
                    parameters[name] = one
                    present = (column for column in ID_COLUMNS[kind] if column in columns)
                    yield from (f"`{column}` = {{{name}:String}}" for column in present)

    def _words(self, text: str, parameters: dict[str, str]) -> Iterator[str]:
        words = [one for ids in self.ids.values() for one in ids if len(one) >= LENGTH_MIN]
        if text and words:
            parameters |= {"words": as_word(*words), "escaped": as_word_in_json(*words)}
            yield f"match({text}, {{words:String}})"
            yield f"position({text}, '\\\\') > 0 AND match({text}, {{escaped:String}})"


def text_columns(columns: Mapping[str, str]) -> list[str]:
    """Return the columns of text, and of lists of text."""
    return [name for name, kind in columns.items() if _TEXT.fullmatch(kind)]


def as_word(*texts: str) -> str:
    """Return the pattern (RE2) of any of the texts, where it stands alone."""
    return f"(?:^|{_WORD})(?:{'|'.join(map(re.escape, texts))})(?:$|{_WORD})"


def as_word_in_json(*texts: str) -> str:
    """Return the pattern of any of the texts, where it stands alone in JSON; characters may be escapes."""
    escaped = "|".join("".join(map(_in_json, text)) for text in texts)
    return f"(?:^|{_WORD}|{_ESCAPE})(?:{escaped})(?:$|{_WORD})"


def _in_json(character: str) -> str:
    units = character.encode("utf-16-be")
    numbers = "".join(f"\\\\u(?i:{units[at : at + 2].hex()})" for at in range(0, len(units), 2))
    escaped = f"|\\\\{re.escape(character)}" if character in '"\\/' else ""
    return f"(?:{re.escape(character)}|{numbers}{escaped})"


def _text_of(columns: Mapping[str, str]) -> str:
    """Return the expression of all text of a row."""
    parts = [
        f"arrayStringConcat(`{name}`, '\\n')"
        if columns[name].startswith("Array")
        else f"ifNull(`{name}`, '')"
        for name in text_columns(columns)
    ]
    return f"concatWithSeparator('\\n', '', {', '.join(parts)})" if parts else ""
