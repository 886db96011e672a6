"""A text that a terminal, a log or a reader would obey, and how to tell that none of it came through."""

from unicodedata import category

# Clears a screen (by 7 and by 8 bits), sets its title, turns the direction, breaks lines, cannot be seen.
HOSTILE = "A\x1b[2J\x9b2J\x1b]0;owned\x07\u202egpj\u2066\r\n\u2028\x85\u200b\U000e0041Z"


def is_harmless(text: str, allowed: str = "\n") -> bool:
    """Return whether all that is no letter, sign or space is one of `allowed`."""
    return all(
        character in allowed or (category(character)[0] != "C" and category(character) not in ("Zl", "Zp"))
        for character in text
    )
