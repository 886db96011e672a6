"""Data of an event -> the same data with personal data and device ids truncated. Pure.

The page helps to understand events, not to identify people: a device id keeps enough to tell two apart; an
address (network, mail, street), a name and a phone number keep one character.

Invariants: the field's name decides first, which also covers future fields. Then every text is searched for
mail and network addresses and phone numbers. Every returned text can be encoded.
"""

import json
import re
from functools import lru_cache
from typing import Any

_ID_CHARACTERS, _CHARACTERS = 4, 1
_TEXT_LENGTH_MAX = 500
_ITEMS_MAX = 200
_DEPTH_MAX = 12

# Words of a field's name, split at non-letters and at changes of case.
_IDS = re.compile(
    r"(^| )(device|advertising|advertiser|idfa|idfv|gaid|aaid|vendor|user|customer|client|shopper|member)"
    r"( id| ids|$)"
    r"|(^| )(token|secret|password|fingerprint|udid|imei|mac)( |$)"
)
_PERSONAL = re.compile(
    r"(^| )(ip|ips|ip address|ipv4|ipv6|e ?mails?|phones?|mobiles?|tel|telephone|fax)( |$)"
    r"|(^| )(address(es)?|address ?\d|streets?|line ?[12]|house|apartment)( |$)"
    r"|(^| )(zips?|zip code|zipcode|postal|postal code|postcode|lat|lng|lon|latitude|longitude)( |$)"
    r"|(^| )(birth|birthday|birthdate|dob|surname|firstname|lastname|fullname|username|recipient)( |$)"
    r"|^name$|(^| )(first|last|full|given|family|middle|maiden|nick|sur|billing|shipping|delivery) ?names?$"
    r"|(^| )(user|customer|shopper|client|person|people|receiver|contact|company|holder|owner) ?names?$"
)
_MAIL = re.compile(r"[^\s@\"'<>(),;:]{1,64}@[^\s@\"'<>(),;:]{1,255}")
_IPV4 = re.compile(r"(?<![\d.])(\d{1,3})(\.\d{1,3}){3}(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}(?![\w:])")
_PHONE = re.compile(r"(?<![\w+])\+\d[\d ()./-]{6,20}\d(?!\w)")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# A member of an object in text that is not valid JSON; the value may be truncated.
_MEMBER = re.compile(r'"([^"\\]{1,100})"(\s*:\s*)("(?:[^"\\]|\\.)*(?:"|$)|-?[\d.eE+]+)')


def value_shortened(name: str, value: Any, depth: int = 0) -> Any:
    """Redact a field's value by its name, its members' names and its texts."""
    keep = _kept(name)
    if depth > _DEPTH_MAX:
        return "…"
    if isinstance(value, dict):
        members = list(value.items())[:_ITEMS_MAX]
        return {
            text_shortened(str(key)): value_shortened(
                name if keep and not _kept(str(key)) else str(key), member, depth + 1
            )
            for key, member in members
        }
    if isinstance(value, list | tuple):
        return [value_shortened(name, member, depth + 1) for member in value[:_ITEMS_MAX]]
    if value is None or isinstance(value, bool):
        return value
    if keep:
        return _cut(str(value), keep)
    return text_shortened(value) if isinstance(value, str) else value


def text_shortened(text: str) -> str:
    """Redact mail and network addresses and phone numbers; return at most 500 characters."""
    cut = _encodable(text) if len(text) <= _TEXT_LENGTH_MAX else f"{_encodable(text[:_TEXT_LENGTH_MAX])}…"
    for pattern in (_MAIL, _IPV4, _IPV6, _PHONE):
        cut = pattern.sub(lambda found: _cut(found[0], _CHARACTERS), cut)
    return cut


def body_shortened(body: bytes) -> str:
    """Return a quarantined body as redacted text: JSON member by member, other bodies as far as readable."""
    text = body.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        members = _MEMBER.sub(_member_shortened, text)
        return "".join(text_shortened(members[at : at + 400]) for at in range(0, len(members), 400))
    return json.dumps(value_shortened("", found), indent=2, ensure_ascii=False)


def _member_shortened(found: re.Match[str]) -> str:
    keep = _kept(found[1])
    if not keep:
        return found[0]
    value = found[3]
    shortened = f'"{_cut(value.strip(chr(34)), keep)}"' if value.startswith('"') else _cut(value, keep)
    return f'"{found[1]}"{found[2]}{shortened}'


@lru_cache(maxsize=4096)
def _kept(name: str) -> int:
    """Return how many characters the value of a field keeps; 0: all."""
    words = " ".join(_WORDS.findall(name.rpartition(".")[2])).lower()
    if _IDS.search(words):
        return _ID_CHARACTERS
    return _CHARACTERS if _PERSONAL.search(words) else 0


def _cut(text: str, keep: int) -> str:
    """Truncate a text, always to half of it or less."""
    return _encodable(text if text.endswith("…") or not text else f"{text[: min(keep, len(text) // 2)]}…")


def _encodable(text: str) -> str:
    """Replace lone surrogates, which cannot be encoded, by their six characters."""
    return text.encode("utf-8", "backslashreplace").decode()
