"""Data of one event type without columns -> counts of the values at each path. Pure.

Invariants: memory is bounded: the numbers of paths, distinct values and samples are limited, and the rest is
counted. Values stay as they were in JSON: `1.10` is not 1.1. Source: `lenient`, which wrote `extra`: an
object of values by path, with names joined by dots; in a name % is %25 and . is %2E.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from schemas.codec import unexamined
from schemas.codec.lenient import elements_of, kind_of, members_of, text_of
from schemas.codec.row_to_json import unescaped

PATHS_MAX = 500  # per event type; a sender with more names sends data as names
VALUES_MAX = 50  # distinct ones per path
_SAMPLES_MAX = 3  # per path and class
_SAMPLE_CHARS_MAX = 60

Path = tuple[str, ...]  # names as sent: of a member, or of a block and its member

# Classes of values.
NULL, BOOLEAN, WHOLE, FRACTION = "null", "boolean", "whole number", "number"
TEXT, WHOLE_TEXT, DECIMAL_TEXT, EMPTY_TEXT = "text", "whole number as text", "decimal as text", "empty text"
LIST, EMPTY_LIST, OBJECTS, OBJECT = "list", "empty list", "list of objects, lists or nulls", "object"

_WHOLE_TEXT = re.compile(r"-?(0|[1-9][0-9]{0,14})")
_DECIMAL_TEXT = re.compile(r"-?(0|[1-9][0-9]{0,12})\.[0-9]{1,4}")  # fits Decimal(18, 4) exactly
_INT64 = range(-(2**63), 2**63)
_BIGGEST = 20  # characters of a 64-bit number


@dataclass(slots=True)
class Values:
    """The values of one path."""

    events: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)  # distinct texts, VALUES_MAX at most
    more: int = 0  # further texts
    least: int = 0  # minimum and maximum of the whole numbers
    most: int = 0
    samples: dict[str, list[str]] = field(default_factory=dict)  # by class: truncated JSON

    def add(self, raw: msgspec.Raw) -> None:
        """Count the value of one event."""
        name = _class_of(raw)
        self.events += 1
        self.classes[name] += 1
        if name in (TEXT, WHOLE_TEXT, DECIMAL_TEXT):
            self._add_text(text_of(raw))
        if name == WHOLE:
            number = int(bytes(raw))
            is_first = self.classes[WHOLE] == 1
            self.least = number if is_first else min(self.least, number)
            self.most = number if is_first else max(self.most, number)
        samples = self.samples.setdefault(name, [])
        sample = bytes(raw)[: 4 * _SAMPLE_CHARS_MAX].decode(errors="ignore")
        shown = sample if len(sample) <= _SAMPLE_CHARS_MAX else f"{sample[:_SAMPLE_CHARS_MAX]}…"
        if len(samples) < _SAMPLES_MAX and shown not in samples:
            samples.append(shown)

    def _add_text(self, text: str) -> None:
        text = text[: 2 * _SAMPLE_CHARS_MAX]
        if text in self.texts or len(self.texts) < VALUES_MAX:
            self.texts[text] += 1
        else:
            self.more += 1


@dataclass(slots=True)
class FieldProfile:
    """The profile of one event type."""

    events: int = 0
    paths: dict[Path, Values] = field(default_factory=dict)
    beyond: int = 0  # values of paths beyond PATHS_MAX
    schema_ids: Counter[str] = field(default_factory=Counter)  # as sent

    def add(self, extra: str, properties: str = "", schema_id: str = "") -> None:
        """Count one event: its `extra`, and event_properties if its type has no schema, both JSON texts."""
        self.events += 1
        if schema_id:
            self.schema_ids[schema_id] += 1
        for key, raw in members_of(extra.encode()).items() if extra else ():
            if key == unexamined.PATH:  # a body too heavy to infer fields from
                continue
            self._add(tuple(map(unescaped, key.split("."))), raw)
        for name, raw in members_of(properties.encode()).items() if properties else ():
            self._add(("event_properties", name), raw)

    def _add(self, path: Path, raw: msgspec.Raw) -> None:
        if len(path) == 1 and kind_of(raw) == "an object":
            for name, inner in members_of(raw).items():
                self._add((path[0], name), inner)
            return
        if path not in self.paths and len(self.paths) >= PATHS_MAX:
            self.beyond += 1
            return
        self.paths.setdefault(path, Values()).add(raw)


def _class_of(raw: msgspec.Raw) -> str:
    kind = kind_of(raw)
    if kind == "a string":
        return _class_of_text(text_of(raw))
    if kind == "a number":
        text = bytes(raw).decode()
        return (
            WHOLE
            if len(text) <= _BIGGEST and text.lstrip("-").isdecimal() and int(text) in _INT64
            else FRACTION
        )
    if kind == "an array":
        kinds = {kind_of(element) for element in elements_of(raw)}
        return (
            LIST
            if kinds and kinds <= {"a string", "a number", "a boolean"}
            else OBJECTS
            if kinds
            else EMPTY_LIST
        )
    return {"null": NULL, "a boolean": BOOLEAN, "an object": OBJECT}[kind]


def _class_of_text(text: str) -> str:
    if not text:
        return EMPTY_TEXT
    if _WHOLE_TEXT.fullmatch(text):
        return WHOLE_TEXT
    return DECIMAL_TEXT if _DECIMAL_TEXT.fullmatch(text) else TEXT
