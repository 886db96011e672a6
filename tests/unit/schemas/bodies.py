"""JSON bodies as senders may write them, rendered here to control numbers, escapes and repetitions."""

import json
from typing import Any

from hypothesis import strategies as st

from schemas.catalog.catalog import Catalog

CATALOG = Catalog.load()


class Number(str):
    """A JSON number, as its text."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """A JSON object: its members in order; names may repeat."""


def render(value: Any, *, is_ascii: bool = True) -> str:
    """Return the JSON text of strings, Numbers, booleans, None, lists and Members."""
    if isinstance(value, Members):
        inner = ", ".join(
            f"{render(name, is_ascii=is_ascii)}: {render(v, is_ascii=is_ascii)}" for name, v in value
        )
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{','.join(render(part, is_ascii=is_ascii) for part in value)}]"
    return str(value) if isinstance(value, Number) else json.dumps(value, ensure_ascii=is_ascii)


def parse(text: str | bytes) -> Any:
    """Return the value of a JSON text, its numbers as Numbers."""
    return json.loads(text, parse_int=Number, parse_float=Number)


NUMBERS = st.sampled_from(
    ["0", "-0", "1.0", "1e400", "-1E+400", "1e-400", "0.10", "9" * 30, "1" + "0" * 400, "-7"]
)
# Any character except lone surrogates in a literal body; escapes may also be lone surrogates.
TEXTS = st.text(max_size=8) | st.sampled_from(["", "\x00", "a.b", "%", "%2E", "5", "null", "\\ud83d", "x\\"])
BROKEN_TEXTS = st.text(st.characters(categories=["Cs", "Ll"]), max_size=4)
SCALARS = st.none() | st.booleans() | NUMBERS.map(Number) | st.integers().map(Number) | TEXTS

_SCHEMAS = [release.schema for release in CATALOG.releases]
_TOP = sorted({field["name"] for schema in _SCHEMAS for field in schema["fields"]} | {"event_properties"})
_INNER = sorted(
    {
        inner["name"]
        for schema in _SCHEMAS
        for field in schema["fields"]
        if isinstance(field["type"], dict)
        for inner in field["type"].get("fields", ())
    }
)
_ENVELOPE = ("event_type", "event_id", "app_id", "device_id", "timestamp", "timestamp_iso")
_NAMES = st.sampled_from(
    [name for name in _TOP + _INNER if name not in (*_ENVELOPE, "event")]
) | TEXTS.filter(lambda name: name not in (*_ENVELOPE, "event"))
# A time as text, and as milliseconds since 1970.
ISO_TIME, ISO_MS = "2025-10-09T05:00:05.031-07:00", 1_760_011_205_031


def values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return a strategy for JSON values; object members often have names known to the schemas."""
    return st.recursive(
        SCALARS | texts,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.lists(st.tuples(_NAMES | texts.filter(lambda n: n not in _ENVELOPE), inner), max_size=6).map(
                Members
            )
        ),
        max_leaves=12,
    )


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """Return a body with the required fields and arbitrary other JSON."""
    is_ascii = draw(st.booleans())
    anything = values(BROKEN_TEXTS if is_ascii else st.nothing())
    event_type = draw(
        st.sampled_from(["AppOpened", "CartUpdated", "SessionStarted", "WishlistShared", "Quarantine"])
    )
    milliseconds = Number(draw(st.integers(-(2**63), 2**63 - 1)))
    devices: list[list[tuple[str, Any]]] = [[], [("device_id", draw(SCALARS | TEXTS))]]
    times: list[list[tuple[str, Any]]] = [
        [("timestamp", milliseconds)],
        [("timestamp", str(milliseconds))],
        [("timestamp_iso", ISO_TIME)],
        [("timestamp_iso", ISO_TIME), ("timestamp", draw(values(st.nothing())))],
    ]
    members = [
        ("event_type", event_type),
        *((name, draw(TEXTS.filter(bool))) for name in ("event_id", "app_id")),
        *draw(st.sampled_from(devices)),
        *draw(st.sampled_from(times)),
        *draw(st.lists(st.tuples(_NAMES, anything), max_size=8)),
        *draw(st.lists(st.sampled_from(_BLOCKS).flatmap(lambda name: _block(name, anything)), max_size=4)),
    ]
    return render(Members(draw(st.permutations(members))), is_ascii=is_ascii).encode()


_BLOCKS = ["metadata", *(name for name in _TOP if name.endswith("_properties"))]
_KNOWN = st.one_of(TEXTS, st.booleans(), st.lists(TEXTS, max_size=3), SCALARS)


def _block(name: str, anything: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    member = st.tuples(st.sampled_from([*_INNER, "schema_id"]), _KNOWN) | st.tuples(_NAMES, anything)
    return st.lists(member, max_size=12).map(lambda members: (name, Members(members)))
