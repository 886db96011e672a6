"""A text with everything that could control a terminal, a log or a reader, and a check that it is escaped."""

from unicodedata import category

# Clears a screen (7 and 8 bit), sets the title, reverses direction, breaks lines, is invisible.
HOSTILE = "A\x1b[2J\x9b2J\x1b]0;owned\x07\u202egpj\u2066\r\n\u2028\x85\u200b\U000e0041Z"


def is_harmless(text: str, allowed: str = "\n") -> bool:
    """Return whether every character is a letter, a mark, a space or one of `allowed`."""
    return all(
        character in allowed or (category(character)[0] != "C" and category(character) not in ("Zl", "Zp"))
        for character in text
    )
