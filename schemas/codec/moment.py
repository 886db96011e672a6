"""Text of a time -> milliseconds since 1970, or None. Pure.

Source: docs/decisions/0006-lenient-decoding.md. Plausibility of a time is not checked here.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_INT64 = range(-(2**63), 2**63)
# Short JSON numbers only, so that no exponent costs much time.
_NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
# A date and a time of day; `fromisoformat` also accepts weeks and plain dates, which are not moments.
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_ISO_CHARS_MAX = 40


def of_number(text: str) -> int | None:
    """Parse a whole number of 64 bits: 1700000000000, 1700000000000.0, 1.7e12."""
    if not _NUMBER.fullmatch(text):
        return None
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() and int(number) in _INT64 else None


def of_iso(text: str) -> int | None:
    """Parse an ISO 8601 date and time into milliseconds; without an offset it is UTC."""
    if len(text) > _ISO_CHARS_MAX or not _DATE_AND_TIME.match(text):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
