"""Refused and unkept requests -> log lines at a bounded rate.

Invariants: no line holds a token or a payload; path segments that may contain a token are logged by length
only. The number of lines per minute is limited; each line reports how many were left out before it.
"""

import logging
import time
from collections.abc import Callable
from difflib import SequenceMatcher

from ingest.metrics import Counts

_LOG = logging.getLogger(__name__)

_LINES_PER_MINUTE_MAX = 10
_KNOWN = "tapcart_webhooks"
_SEGMENTS_MAX, _LIKE_MIN = 6, 0.75
# Shorter segments are neither a token nor half of one.
_SHOWN_LENGTH_MAX = 7


class Refusals:
    """The refusals of one port."""

    def __init__(self, requests: Counts, now: Callable[[], float] = time.monotonic) -> None:
        self._requests = requests
        self._now = now
        self._minute = 0
        self._lines = self._left_out = 0

    def note(self, status: int, event: str, **fields: str) -> None:
        """Count and log a refusal."""
        self._requests[status,] += 1
        self.log(event, status=status, **fields)

    def log(self, event: str, **fields: str | int) -> None:
        """Log `event` with `fields`, unless this minute's limit is reached."""
        minute = int(self._now() // 60)
        if minute != self._minute:
            self._minute, self._lines = minute, 0
        if self._lines == _LINES_PER_MINUTE_MAX:
            self._left_out += 1
            return
        self._lines += 1
        _LOG.warning(event, extra={**fields, "left_out": self._left_out})
        self._left_out = 0


def redacted(path: str) -> str:
    """Shorten a path and mask possible secrets; the log's JSON escapes control characters."""
    segments = path.split("/")
    shown = "/".join(map(_segment, segments[: _SEGMENTS_MAX + 1]))
    return f"{shown}/..." if len(segments) > _SEGMENTS_MAX + 1 else shown


def _segment(text: str) -> str:
    if len(text) <= _SHOWN_LENGTH_MAX or _is_like_known(text):
        return text
    return f"<{len(text)} characters>"


def _is_like_known(text: str) -> bool:
    if abs(len(text) - len(_KNOWN)) > len(_KNOWN) // 2:
        return False
    return SequenceMatcher(None, text.lower(), _KNOWN).ratio() >= _LIKE_MIN
