r"""Text from outside -> text that is safe to show in a terminal, a page or a label. Pure.

Invariants: no control character, terminal escape, direction change, invisible character or lone surrogate
remains: each becomes `\u001b` or the like (beyond U+FFFF two, as in JSON, so JSON stays the same JSON).
Length is bounded. Source: Unicode 15, general categories; CVE-2021-42574 (bidirectional text).
"""

from unicodedata import category

_CHARS_MAX = 200
_SEPARATORS = frozenset({"Zl", "Zp"})


def printable(text: object, chars_max: int | None = _CHARS_MAX) -> str:
    """Return one line of at most `chars_max` characters, counted before escaping."""
    whole = str(text)
    is_short = chars_max is None or len(whole) <= chars_max
    cut = whole if is_short else f"{whole[:chars_max]}…"
    return cut if cut.isprintable() else "".join(map(_shown, cut))


def printable_lines(text: object, chars_max: int | None = _CHARS_MAX) -> str:
    """Make each line printable, with at most `chars_max` characters per line."""
    return "\n".join(printable(line, chars_max) for line in str(text).split("\n"))


def _shown(character: str) -> str:
    kind = category(character)
    if kind[0] != "C" and kind not in _SEPARATORS:
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
