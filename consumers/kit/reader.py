"""Kafka -> matching events; and the offsets of those that are done, back to Kafka.

Invariants: an offset counts as done once its event is done, if its record did not match, or once the
quarantine topic has acknowledged it. A failed quarantine write is retried until it succeeds or the reader is
stopped, which leaves the offset uncommitted. One thread at a time, except that any may set `stopping`.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from consumers.kit.decode import (
    UNKNOWN_SCHEMA,
    WRONG_TOPIC,
    InvalidRecordError,
    Refusal,
    fields_of,
    header,
    is_registered,
    refusal_of,
    require,
    sound,
)
from consumers.kit.erasures.erased_ids import ErasedIds
from consumers.kit.erasures.follower import ErasureFollower
from consumers.kit.errors import TransientError
from consumers.kit.event_filter import EventFilter, typed
from consumers.kit.group_consumer import GroupConsumer, Membership
from consumers.kit.metrics import Metrics
from consumers.kit.offset_tracker import Hold, OffsetTracker
from consumers.kit.quarantine import QuarantineWriter
from consumers.kit.received_until import ReceivedUntil
from consumers.kit.record import Place, Record
from consumers.kit.schema_patience import SchemaPatience
from consumers.kit.settings import Settings
from runtime.kafka import record_headers, topics
from runtime.retry import retrying_until
from schemas.catalog.catalog import Release
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire import wire_id_of
from schemas.catalog.wire_ids import release_of

_log = logging.getLogger(__name__)

# Decoded and held at once; a stop waits for at most this, besides the loop's body.
_RECORDS_MAX, _BYTES_MAX = 500, 8 << 20
_COMMIT_SECONDS = 0.5  # commit interval; work done since the last commit is repeated after a kill
_LAG_SECONDS = 1.0
_RETRY_SECONDS_MAX = 5.0
_CLOSE_SECONDS_MAX = 15.0
# The schemas folder may be updated later here than at ingest: wait this long for a schema, once per id.
_SCHEMA_SECONDS_MAX = 15.0
_ERASURES_SECONDS = 0.5  # pause while Kafka does not tell who is erased
_ALIVE_SECONDS_MAX = 300.0  # Kafka's own limit between two polls (max.poll.interval.ms)
_KEPT_BYTES_MAX = 1 << 20  # of a body that is too large for the quarantine topic


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, its record, the hold on its offset, and the log that has the offset."""

    event: Any
    record: Record
    hold: Hold
    log: int


class Reader:
    """A member of a group. Raises: SettingsError."""

    def __init__(
        self,
        settings: Settings,
        membership: Membership,
        event_filter: EventFilter,
        reloader: SchemaReloader,
        metrics: Metrics,
        stopping: threading.Event,
    ) -> None:
        self._filter, self._reloader, self._metrics, self._stopping = (
            event_filter,
            reloader,
            metrics,
            stopping,
        )
        self._tracker = OffsetTracker()
        self._until = ReceivedUntil()
        self._ingest = settings.ingest_urls
        self._quarantine = QuarantineWriter(settings.kafka, reloader)
        self._patience = SchemaPatience(_SCHEMA_SECONDS_MAX)
        self._erasures = ErasureFollower(settings.kafka, membership.group, settings.erasure_key)
        self._committed_at = self._lag_at = 0.0
        self._turned_at = time.monotonic()
        self._consumer = GroupConsumer(settings.kafka, membership, self._revoked, metrics.commits_failed.inc)

    @property
    def is_alive(self) -> bool:
        """Whether Kafka is polled often enough."""
        return time.monotonic() - self._turned_at < _ALIVE_SECONDS_MAX

    @property
    def is_ready(self) -> bool:
        """Whether the group has assigned partitions."""
        return self._consumer.joined

    @property
    def problem(self) -> str:
        """Why Kafka cannot be used; empty: it can, or the reason is unknown."""
        return self._consumer.problem

    def take(self, seconds_max: float) -> list[Arrival]:
        """Return events that arrive within `seconds_max`. Raises: any permanent error."""
        self._note(time.monotonic())
        try:
            erased = self._erasures.current()
        except TransientError as error:
            self._metrics.retries.labels("erasures").inc()
            _log.warning("retrying", extra={"target": "erasures", "error": str(error)})
            self._stopping.wait(_ERASURES_SECONDS)
            return []
        arrivals: list[Arrival] = []
        passed = 0
        for record in self._consumer.poll(seconds_max, _RECORDS_MAX, _BYTES_MAX):
            place, offset = (record.topic() or "", record.partition() or 0), record.offset() or 0
            found = self._read(place[0], record, erased) if self._filter.admits(record) else None
            if isinstance(found, Refusal):
                if not self._keep(found):
                    return arrivals
            elif found is not None:
                name, event = found
                log = self._consumer.logs.get(place[0], topics.UNKNOWN_LOG)
                arrivals.append(Arrival(event, record, self._tracker.read(place, offset), log))
                self._metrics.events.labels(name).inc()
                continue
            passed += found is None
            self._tracker.passed(place, offset)
        self._metrics.passed.inc(passed)
        return arrivals

    def read_until_ms(self) -> int:
        """Return the moment until which all received events were polled; 0 if unknown."""
        for snapshot in self._consumer.ends.snapshots(self._ingest):
            self._until.take(snapshot)
        until_ms = self._until.of(self._consumer.positions())
        self._metrics.read_until.set(until_ms / 1000)
        return until_ms

    def close(self) -> None:
        """Commit finished work, and leave the group."""
        self._consumer.commit(self._tracker.due())
        self._consumer.close(_CLOSE_SECONDS_MAX)

    def _revoked(self, places: Sequence[Place]) -> None:
        self._consumer.commit(self._tracker.due())
        self._tracker.forget(places)

    def _read(self, topic: str, record: Record, erased: ErasedIds) -> tuple[str, Any] | Refusal | None:
        """Return the schema's name and the event; None if it does not match, or is of somebody erased."""
        try:
            value = sound(record.value(), header(record, record_headers.CRC32))
            release = self._release(value, record)
            if release.name == self._reloader.catalog.quarantine.name:
                raise InvalidRecordError(WRONG_TOPIC, f"{release.schema_id} does not belong in {topic}")  # noqa: TRY301
            datum = fields_of(release, value)
            if header(record, record_headers.CRC32) is None:
                require(release, datum)
            release, datum = typed(self._reloader.catalog, release, datum)
        except InvalidRecordError as error:
            refusal = refusal_of(error, topic, record, "kit")
            stops = erased.stops_body(refusal.body, refusal.received_at_ms, refusal.app_id or "")
            return None if stops else refusal
        event = None if erased.stops(datum) else self._filter.event(release, datum)
        return None if event is None else (release.name, event)

    def _release(self, value: bytes, record: Record) -> Release:
        """Return the release that wrote a value; wait for one of ours. Raises: InvalidRecordError."""
        release = release_of(self._reloader.catalog, value, record.headers())
        if release is None:
            self._wait_for_release(value, record)
            release = release_of(self._reloader.catalog, value, record.headers())
        if release is None:
            raise InvalidRecordError(UNKNOWN_SCHEMA, f"no schema has the id {wire_id_of(value)}")
        return release

    def _wait_for_release(self, value: bytes, record: Record) -> None:
        """Reload the schemas until one explains the value, for a record of ours as long as patience lasts."""
        headers, wire_id = record.headers(), wire_id_of(value)
        ids = {(is_registered(record), wire_id)}
        is_ours = wire_id is not None and header(record, record_headers.CRC32) is not None
        seconds_max = self._patience.seconds_for(ids) if is_ours else 0.0
        is_known = self._reloader.wait_for(
            lambda catalog: release_of(catalog, value, headers) is not None, seconds_max, self._stopping
        )
        if seconds_max and not is_known:
            self._patience.waited_in_vain(ids)

    def _keep(self, refusal: Refusal) -> bool:
        """Write the record to the quarantine; return False if stopped before that."""
        retry = retrying_until(self._stopping, TransientError, _RETRY_SECONDS_MAX, self._note_retry)
        try:
            if retry(self._quarantine.write, [refusal]):
                cut = (
                    f"{refusal.detail}; the first of {len(refusal.body)} bytes, which are in {refusal.record}"
                )
                retry(
                    self._quarantine.write,
                    [replace(refusal, body=refusal.body[:_KEPT_BYTES_MAX], detail=cut)],
                )
        except TransientError:
            return False
        self._metrics.quarantined.labels(refusal.reason).inc()
        extra = {"reason": refusal.reason, "detail": refusal.detail, "record": refusal.record}
        _log.warning("record_quarantined", extra=extra)
        return True

    def _note_retry(self, _attempts: int, error: str) -> None:
        self._metrics.retries.labels("quarantine").inc()
        _log.warning("retrying", extra={"target": "quarantine", "error": error})

    def _note(self, now: float) -> None:
        self._turned_at = now
        self._metrics.turned_at.set_to_current_time()
        if now - self._committed_at > _COMMIT_SECONDS:
            self._committed_at = now
            self._consumer.commit(self._tracker.due())
        if self._reloader.is_due:
            self._reloader.try_reload()
        if now - self._lag_at > _LAG_SECONDS:
            self._lag_at = now
            lags = self._consumer.lags()
            self._metrics.lag.clear()
            for (_, partition), lag in lags.items():
                self._metrics.lag.labels(partition).set(lag)
