"""librdkafka's messages -> the log: each kind at once, then at most once a minute, with the number left out.

librdkafka reports every failed connection of every client. While Kafka is away that is a hundred megabytes a
day of one sentence.

Invariants: all clients of a process share this logger; memory is bounded. A kind is a message without its
numbers, so the same trouble with two brokers is one kind. librdkafka's threads call it side by side.
"""

import logging
import re
import threading
import time
from collections.abc import Callable

_SECONDS = 60.0
_KINDS_MAX, _KIND_CHARS_MAX = 256, 500
_NUMBER = re.compile(r"\d+")


class RepeatFilter(logging.Filter):
    """Lets a message of each kind pass once a minute; its `left_out` counts those that did not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[str, tuple[float, int]] = {}  # when it passed, left out since; newest last

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the message is logged; one for debugging always is."""
        if record.levelno <= logging.DEBUG:
            return True
        kind = _NUMBER.sub("", record.getMessage())[:_KIND_CHARS_MAX]
        now = self._clock()
        with self._lock:
            passed_at, left_out = self._kinds.pop(kind, (-_SECONDS, 0))
            is_due = now - passed_at >= _SECONDS
            self._kinds[kind] = (now, 0) if is_due else (passed_at, left_out + 1)
            if len(self._kinds) > _KINDS_MAX:
                del self._kinds[next(iter(self._kinds))]
        if is_due and left_out:
            record.left_out = left_out
        return is_due


LOG = logging.getLogger("librdkafka")
LOG.addFilter(RepeatFilter())
