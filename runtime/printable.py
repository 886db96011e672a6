r"""A text that came from outside -> what a terminal, a page or a label may show of it. Pure.

Invariants: no control character, terminal escape, change of direction, invisible character or lone surrogate
is left: each is written as `\u001b` (beyond U+FFFF as two, as JSON has it, so JSON stays the same JSON);
nothing is longer than it may be. Source: Unicode 15, general categories; CVE-2021-42574 (bidirectional text).
"""

from unicodedata import category

_CHARS_MAX = 200
_SEPARATORS = frozenset({"Zl", "Zp"})


def printable(text: object, chars_max: int | None = _CHARS_MAX) -> str:
    """Return one line of at most `chars_max` characters, before those that must not be shown are escaped."""
    whole = str(text)
    is_short = chars_max is None or len(whole) <= chars_max
    cut = whole if is_short else f"{whole[:chars_max]}…"
    return cut if cut.isprintable() else "".join(map(_shown, cut))


def printable_lines(text: object, chars_max: int | None = _CHARS_MAX) -> str:
    """Return a text whose lines are printable, each of at most `chars_max` characters."""
    return "\n".join(printable(line, chars_max) for line in str(text).split("\n"))


def _shown(character: str) -> str:
    kind = category(character)
    if kind[0] != "C" and kind not in _SEPARATORS:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
