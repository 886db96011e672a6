"""ingest's admin URLs -> its readiness, spools and topic problems.

Several processes form one component: the page shows their sum, and it is down while one of them is.
"""

from collections.abc import Sequence
from time import monotonic

from consumers.kit.ingest_state import IngestAwayError, Readiness, ask, way
from consumers.live.intake import IngestStatus, SpoolStatus
from consumers.live.poller import SourceAwayError


class IngestSource:
    """Polls ingest's readiness."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls

    def poll(self, now_ms: int) -> IngestStatus:
        """Return the state of ingest. Raises: SourceAwayError."""
        started = monotonic()
        try:
            found = ask(self._urls)
        except IngestAwayError as error:
            raise SourceAwayError(str(error)) from error
        if not all(one.ready for one in found):
            raise SourceAwayError("accepts no events: neither Kafka nor the spool can keep them")
        spent_ms = (monotonic() - started) * 1000
        where = " or ".join(dict.fromkeys(map(way, found)))
        who = "accepts" if len(found) == 1 else f"{len(found)} processes accept"
        detail = f"{who} events {where}; answered in {spent_ms:.0f} ms"
        return IngestStatus(detail, _spool(found, now_ms), now_ms, _topic_problems(found))


def _spool(found: Sequence[Readiness], now_ms: int) -> SpoolStatus:
    return SpoolStatus(
        sum(one.spool_records for one in found),
        sum(one.spool_bytes for one in found),
        sum(one.spool_bytes_max for one in found),
        min((one.spool_oldest_ms for one in found if one.spool_oldest_ms is not None), default=None),
        now_ms,
    )


def _topic_problems(found: Sequence[Readiness]) -> tuple[str, ...] | None:
    """Return the problems as text; None: unknown."""
    known = [one.topic_problems for one in found if one.topic_problems is not None]
    if not known:
        return None
    return tuple(dict.fromkeys(f"{one.topic} {one.words}" for problems in known for one in problems))
