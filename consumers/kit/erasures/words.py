"""Texts -> the words in them that may be ids. Pure.

An id is known by its words: its runs of ASCII letters, digits, `_` and `-`. It occurs in a text if these
words follow each other there, whatever stands between and around them. So an id is found inside JSON, URLs
and longer texts, and never inside a longer id. Invariant: `consumers.warehouse.privacy.row_filter` finds the
same in SQL; a test compares both.
"""

import re
from collections.abc import Iterator

LENGTH_MIN = 8  # characters of an id's words together; a shorter id occurs by chance
KAFKA_VALUE = "\0"  # the first character of a value in Confluent's format; no JSON begins so

_WORD = re.compile("[0-9A-Za-z_-]+")
# In JSON text, a character may be an escape. Only ASCII letters and digits belong to words.
_ESCAPE = re.compile(r"\\u00([0-7][0-9A-Fa-f])|\\u[0-9A-Fa-f]{4}|\\.", re.DOTALL)


def of_id(text: str) -> tuple[str, ...]:
    """Return the words of an id; empty if it can be compared only as a whole."""
    words = (*_WORD.findall(text),)
    return words if len(" ".join(words)) >= LENGTH_MIN else ()


def in_text(text: str, sizes: frozenset[int]) -> Iterator[str]:
    """Yield each sequence of words that may be an id of so many words, joined by blanks; some twice."""
    readings = [text, _ESCAPE.sub(_unescaped, text)] if "\\" in text else [text]
    for reading in readings:
        words = _WORD.findall(reading)
        for size in sizes:
            if size == 1:
                yield from (word for word in words if len(word) >= LENGTH_MIN)
            else:
                yield from (" ".join(words[at : at + size]) for at in range(len(words) - size + 1))


def in_kafka_value(value: str) -> Iterator[str]:
    """Yield words of a value that cannot be decoded (bytes as Latin-1).

    Before each text of an Avro value stands its length, which may look like a part of the word.
    """
    for word in _WORD.findall(value):
        for at in range(len(word) - LENGTH_MIN):
            yield word[at + 1 : at + 1 + ord(word[at]) // 2]


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else " "
