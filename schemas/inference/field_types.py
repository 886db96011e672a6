"""The values of one path -> a proposed field type with its explanation, or the reason for none. Pure.

Invariants: a chosen type holds most of the observed values; the others stay in `extra`, as they would later.
A released type never changes, so without values no type is chosen. Where values cannot tell a price from a
version, or an amount from an id, the name decides.
"""

import re
from dataclasses import dataclass
from typing import Any

from schemas.catalog.event_time import EVENT_MS_MAX, EVENT_MS_MIN
from schemas.inference.field_profile import (
    BOOLEAN,
    DECIMAL_TEXT,
    EMPTY_LIST,
    EMPTY_TEXT,
    FRACTION,
    LIST,
    NULL,
    OBJECT,
    OBJECTS,
    TEXT,
    WHOLE,
    WHOLE_TEXT,
    Values,
)

_TEXTS = (TEXT, WHOLE_TEXT, DECIMAL_TEXT, EMPTY_TEXT)
_NUMBERS = (WHOLE, FRACTION)
_SCALARS = (*_TEXTS, *_NUMBERS, BOOLEAN)

# Digits that are not a quantity.
_NO_NUMBER = re.compile(
    r"(^|_)(ids?|sku|code|zip|postal|phone|barcode|version|build|hash|token|number|lat|lng|latitude|longitude)$",
)
_MONEY = re.compile(
    r"(^|_)(price|amount|total|subtotal|cost|discount|tax|taxes|tip|revenue|value|balance|fee|credit|paid|due)(_|$)"
)
_COUNT = re.compile(r"(^|_)(items|count|quantity|qty|number|index|position|points)(_|$)")
_TIME = re.compile(r"(^|_)(time|timestamp|date|at|on|until|since)$")
_MOMENTS_MS = range(EVENT_MS_MIN, EVENT_MS_MAX)

# A category has few values, each of which occurs often.
_CATEGORY_VALUES_MAX = 20
_CATEGORY_EVENTS_MIN = 20
_CATEGORY_EVENTS_PER_VALUE_MIN = 5
_TAME = re.compile(r"[\w.:/+-][\w .:/+-]{0,39}")


@dataclass(frozen=True, slots=True)
class Decision:
    """A field's type and attributes, or none; and the explanation."""

    declared: dict[str, Any] | None  # type, default, doc, attributes; None: no field
    words: str


def decide(name: str, values: Values, events: int) -> Decision:
    """Choose the type of a field `name` (snake case, if possible). `events`: number examined."""
    classes = values.classes
    groups = {
        "text": sum(classes[one] for one in _SCALARS if one != EMPTY_TEXT),
        "list": classes[LIST],
        "none": classes[OBJECTS] + classes[OBJECT],
    }
    seen = _seen(values, events)
    if not any(groups.values()):
        return Decision(None, f"no value yet to decide by ({seen})")
    group = max(groups, key=lambda one: groups[one])
    if group == "none":
        return Decision(None, f"objects and lists of objects get no column ({seen})")
    kind, attributes, words = _list() if group == "list" else _scalar(name, values)
    shares = f"Inferred from what arrived: {_shares(values, events)}."
    doc = " ".join(filter(None, [shares, words, _enumerated(attributes, values)]))
    others = sum(groups.values()) - groups[group]
    rest = f"; {others} of another kind stay in extra" if others else ""
    declared = {"type": ["null", kind], "default": None, "doc": doc, **attributes}
    return Decision(declared, f"{_name_of(kind, attributes)} ({seen}{rest})")


def _list() -> tuple[Any, dict[str, Any], str]:
    return {"type": "array", "items": "string"}, {}, "A list of texts."


def _scalar(name: str, values: Values) -> tuple[Any, dict[str, Any], str]:
    has = {one for one in _SCALARS if values.classes[one]} - {EMPTY_TEXT}
    is_sent_as_text = bool(has & set(_TEXTS)) or bool(values.classes[EMPTY_TEXT])
    if has == {BOOLEAN} and not is_sent_as_text:
        return "boolean", {}, "A boolean."
    if has == {WHOLE} and not is_sent_as_text:
        if _TIME.search(name) and values.least in _MOMENTS_MS and values.most in _MOMENTS_MS:
            moment = {"type": "long", "logicalType": "timestamp-millis"}
            return moment, {}, "A moment: milliseconds since 1970-01-01T00:00:00Z."
        return "long", {}, "A whole number."
    sent = "sent as text" if is_sent_as_text else "kept as its text"
    if has <= {WHOLE, FRACTION, WHOLE_TEXT, DECIMAL_TEXT} and not _NO_NUMBER.search(name):
        if has & {FRACTION, DECIMAL_TEXT} or (_MONEY.search(name) and not _COUNT.search(name)):
            return "string", {"number": "decimal"}, f"A decimal number {sent}."
        return "string", {"number": "integer"}, f"A whole number {sent}."
    return "string", {"category": True} if _is_category(name, values) else {}, ""


def _is_category(name: str, values: Values) -> bool:
    count = sum(values.texts.values())
    return (
        not values.more
        and not _NO_NUMBER.search(name)
        and count >= _CATEGORY_EVENTS_MIN
        and 0 < len(values.texts) <= _CATEGORY_VALUES_MAX
        and count >= _CATEGORY_EVENTS_PER_VALUE_MIN * len(values.texts)
        and all(map(_TAME.fullmatch, values.texts))
    )


def _enumerated(attributes: dict[str, Any], values: Values) -> str:
    if not attributes.get("category"):
        return ""
    counts = ", ".join(f"{text} ({count})" for text, count in values.texts.most_common())
    return f"Seen: {counts}; other values may come."


def _shares(values: Values, events: int) -> str:
    empty = [f"{values.classes[one]} {one}" for one in (NULL, EMPTY_TEXT, EMPTY_LIST) if values.classes[one]]
    return ", ".join([f"in {values.events} of {events} events", *empty])


def _seen(values: Values, events: int) -> str:
    """Summarise the observed values, with samples of each class."""
    parts = [f"in {values.events} of {events} events"]
    for one, count in values.classes.most_common():
        samples = (
            "" if one in (NULL, EMPTY_TEXT, EMPTY_LIST) else f", such as {' '.join(values.samples[one])}"
        )
        parts.append(f"{count} {one}{samples}")
    return "; ".join(parts)


def _name_of(kind: Any, attributes: dict[str, Any]) -> str:
    plain = (
        "list of text"
        if isinstance(kind, dict) and "items" in kind
        else "moment"
        if isinstance(kind, dict)
        else kind
    )
    more = "".join(
        f", {name} {value}" if value is not True else f", {name}" for name, value in attributes.items()
    )
    return f"{plain}{more}"
