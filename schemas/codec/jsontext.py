"""JSON text as bytes -> whether it nests too deep or is heavy; and the same text without lone surrogates.

None of them needs the text to be well-formed, and all are linear: at most 40 us per KB, measured on one
core, and nothing for a body without such things. Source: RFC 8259.
"""

import re
from itertools import accumulate
from operator import add

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AS_BITS = bytes.maketrans(b"[{]}", b"1100")  # 1: a level more
# Of eight of them, by their bits as a number: how many levels more, as a signed byte; the most on the way.
_STEPS = [[1 if number >> bit & 1 else -1 for bit in range(7, -1, -1)] for number in range(256)]
_MORE = bytes(sum(steps) & 0xFF for steps in _STEPS)
_MOST = bytes(max(0, *accumulate(steps)) for steps in _STEPS)

# The beginning of a lone surrogate's escape, where no backslash is escaped: of a high one without a low one
# behind it, or of a low one without a high one before it.
_LONE = re.compile(
    rb"\\u(?=[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2}))"
)
_ESCAPED_BACKSLASH, _NO_JSON = rb"\\", b"\0\0"  # of one length; the second is in no JSON text

# Reading member by member costs up to 0.4 us for each comma; a usual text has 26 of them in 1 KB.
_COMMAS_FREE, _BYTES_PER_COMMA = 128, 16


def is_deeper(text: bytes, levels: int) -> bool:
    """Return whether more than `levels` arrays and objects lie within each other."""
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    outside = text.replace(_ESCAPED_BACKSLASH, b"").replace(rb"\"", b"").split(b'"')[::2]
    bits = b"".join(outside).translate(_AS_BITS, _NOT_BRACKETS)
    eights = int(bits + b"0" * (-len(bits) % 8) or b"0", 2).to_bytes((len(bits) + 7) // 8, "big")
    before = accumulate(memoryview(eights.translate(_MORE)).cast("b"), initial=0)
    most: int = max(map(add, before, eights.translate(_MOST)), default=0)
    return most > levels


def is_heavy(text: bytes) -> bool:
    """Return whether reading `text` member by member takes much longer than with a usual text of its size."""
    return text.count(b",") > _COMMAS_FREE + len(text) // _BYTES_PER_COMMA


def without_lone_surrogates(text: bytes) -> bytes:
    r"""Return `text` with each escape of a lone surrogate (`\ud83d`) turned into its own six characters.

    Such an escape stands for no character; strict readers, ClickHouse's among them, refuse the whole text.
    """
    if b"\0" in text:
        return text
    pieces = _LONE.split(text.replace(_ESCAPED_BACKSLASH, _NO_JSON))
    return rb"\\u".join(pieces).replace(_NO_JSON, _ESCAPED_BACKSLASH)
