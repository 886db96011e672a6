"""JSON text as bytes -> whether it nests too deep or is heavy; and the text without lone surrogates.

The text need not be well-formed. All functions are linear: at most 40 us per KB, measured on one core, and
nearly nothing for a usual body. Source: RFC 8259.
"""

import re
from itertools import accumulate
from operator import add

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AS_BITS = bytes.maketrans(b"[{]}", b"1100")  # 1: one level deeper
# For eight brackets as the bits of a number: the change of depth as a signed byte, and its maximum.
_STEPS = [[1 if number >> bit & 1 else -1 for bit in range(7, -1, -1)] for number in range(256)]
_MORE = bytes(sum(steps) & 0xFF for steps in _STEPS)
_MOST = bytes(max(0, *accumulate(steps)) for steps in _STEPS)

# The start of a lone surrogate's escape, once escaped backslashes are replaced: a high one not followed by a
# low one, or a low one not preceded by a high one.
_LONE = re.compile(
    rb"\\u(?=[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2}))"
)
_ESCAPED_BACKSLASH, _NO_JSON = rb"\\", b"\0\0"  # of equal length; the second never occurs in JSON

# Reading member by member costs up to 0.5 us per comma; a usual text has 26 commas in 1 KB.
_COMMAS_FREE, _BYTES_PER_COMMA = 96, 20


def is_deeper(text: bytes, levels: int) -> bool:
    """Return whether arrays and objects nest more than `levels` deep."""
    if text.count(b"[") + text.count(b"{") <= levels:
        return False
    outside = text.replace(_ESCAPED_BACKSLASH, b"").replace(rb"\"", b"").split(b'"')[::2]
    bits = b"".join(outside).translate(_AS_BITS, _NOT_BRACKETS)
    eights = int(bits + b"0" * (-len(bits) % 8) or b"0", 2).to_bytes((len(bits) + 7) // 8, "big")
    before = accumulate(memoryview(eights.translate(_MORE)).cast("b"), initial=0)
    most: int = max(map(add, before, eights.translate(_MOST)), default=0)
    return most > levels


def is_heavy(text: bytes) -> bool:
    """Return whether reading `text` member by member takes much longer than usual for its size."""
    return text.count(b",") > _COMMAS_FREE + len(text) // _BYTES_PER_COMMA


def without_lone_surrogates(text: bytes) -> bytes:
    r"""Turn each escape of a lone surrogate (`\ud83d`) in `text` into its own six characters.

    Such an escape encodes no character; strict readers, including ClickHouse, reject the whole text.
    """
    if b"\0" in text:
        return text
    pieces = _LONE.split(text.replace(_ESCAPED_BACKSLASH, _NO_JSON))
    return rb"\\u".join(pieces).replace(_NO_JSON, _ESCAPED_BACKSLASH)
