"""The loop: poll records, fill a batch, write it in a thread, commit its offsets. All state is here.

Invariants: offsets are committed only after `Flusher.write` returned for their batch. One batch is being
written and one is filling; when that one is full too, the loop keeps polling but fetches nothing. When a
partition is revoked, the loop waits for the batch being written; what is not written is not committed.

An insert costs ClickHouse one part per table, however few rows it has. A batch that is due only by its age
therefore waits until inserts have taken no more than `insert_share_max` of the time. At low load inserts are
short and nothing waits; at higher load batches grow instead of their number.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from consumers.kit.errors import TopicReplacedError
from consumers.kit.group_consumer import GroupConsumer
from consumers.kit.record import Place
from consumers.warehouse.load.batch import Batch, FlushReason
from consumers.warehouse.load.flush import Flusher
from consumers.warehouse.metrics import Metrics
from runtime.allocator import return_freed_memory

_log = logging.getLogger(__name__)

_POLL_SECONDS_MAX = 0.1
# How soon the end of a job is noticed.
_JOB_SECONDS = 0.02
# With a full batch, the loop waits this long for the insert before it pauses: pausing drops fetched records.
_FULL_SECONDS_MAX = 0.5
# However long an insert takes, the next one waits no longer than this after its start.
_REST_SECONDS_MAX = 3.0
_LAG_SECONDS = 1.0
_NOTE_SECONDS = 0.05
# Longer than any single wait of the loop.
_ALIVE_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of size and time."""

    batch_bytes_max: int
    shutdown_seconds_max: float
    insert_share_max: float  # of the time, for batches that are due by age


@dataclass(frozen=True, slots=True)
class _Job:
    """Work in a thread beside the loop, one at a time: create tables, reload schemas, or write a batch."""

    done: Future[float]  # its seconds
    began: float
    batch: Batch | None = None  # the batch being written


class Loader:
    """One loader. `run` is for the main thread; `stop` may be called from anywhere."""

    def __init__(
        self,
        make_consumer: Callable[[Callable[[Sequence[Place]], None]], GroupConsumer],
        make_batch: Callable[[], Batch],
        flusher: Flusher,
        bounds: Bounds,
        metrics: Metrics,
    ) -> None:
        self._stopping = threading.Event()
        self._flusher = flusher
        self._make_batch = make_batch
        self._batch = make_batch()
        self._job: _Job | None = None
        self._bounds = bounds
        self._metrics = metrics
        self._lag_at = self._noted_at = 0.0
        self._turned_at = time.monotonic()
        self._tables_made = False
        self._rested_at = 0.0  # when a batch may be inserted because of its age
        self._freed_bytes = 0  # of the batches written since their memory was returned
        self._consumer = make_consumer(self._revoked)
        metrics.held_bytes_max.set(2 * bounds.batch_bytes_max)

    @property
    def is_alive(self) -> bool:
        """Whether the loop is running."""
        return time.monotonic() - self._turned_at < _ALIVE_SECONDS_MAX

    @property
    def is_ready(self) -> bool:
        """Whether new events are being loaded."""
        return self._tables_made and self._consumer.joined

    @property
    def problem(self) -> str:
        """Why Kafka or ClickHouse cannot be used; empty: they can, or the reason is unknown."""
        return self._consumer.problem or self._flusher.problem

    def stop(self) -> None:
        """End `run` in an orderly way."""
        self._stopping.set()

    def run(self) -> None:
        """Load until stopped. Raises: the errors that no retry can cure."""
        # Records polled meanwhile wait in the batch.
        self._job = _started(self._flusher.make_tables)
        try:
            while not self._stopping.is_set():
                self._turn()
            self._finish()
        except TopicReplacedError:
            self._finish()  # the records held are nowhere else any more
            raise
        finally:
            self._close()

    def _turn(self) -> None:
        now = time.monotonic()
        self._end_job()
        self._return_memory()
        self._start_job(now)
        self._apply_back_pressure()
        seconds = _JOB_SECONDS if self._job else self._seconds_left(now)
        records = self._consumer.poll(seconds, *self._batch.room)
        self._batch.add(records, now, self._consumer.logs)
        self._note(now)

    def _seconds_left(self, now: float) -> float:
        left = max(self._batch.seconds_left(now), self._rested_at - now)
        return min(_POLL_SECONDS_MAX, left + 0.001)

    def _end_job(self) -> None:
        """If the job is done, take its result: the offsets of a written batch are committed."""
        if self._job is None or not self._job.done.done():
            return
        job, self._job = self._job, None
        seconds = job.done.result()
        self._tables_made = True
        if job.batch:
            rest_seconds = min(seconds / self._bounds.insert_share_max, _REST_SECONDS_MAX)
            self._rested_at = job.began + rest_seconds
            self._metrics.checked.inc(job.batch.checked)
            self._consumer.commit(job.batch.offsets)
            self._freed_bytes += job.batch.bytes

    def _return_memory(self) -> None:
        """Return what written batches held, however small each, once a backlog ends or grows no more."""
        if self._freed_bytes > self._bounds.batch_bytes_max / 8 and not self._batch.full:
            return_freed_memory()
            self._freed_bytes = 0

    def _start_job(self, now: float) -> None:
        """If there is no job, start the next one, if any is due."""
        if self._job:
            return
        if self._flusher.schemas.is_reload_due:
            self._job = _started(self._flusher.reload_schemas)
        elif (reason := self._batch.due(now)) and (reason is not FlushReason.AGE or now >= self._rested_at):
            self._start_writing(reason)

    def _start_writing(self, reason: FlushReason) -> None:
        batch, self._batch = self._batch, self._make_batch()
        self._metrics.flushes.labels(reason).inc()
        self._job = _started(lambda: self._flusher.write(batch), batch)
        _log.debug("batch_due", extra={"reason": reason, "rows": batch.rows, "bytes": batch.bytes})

    def _apply_back_pressure(self) -> None:
        """While a job runs and the batch behind it is full: wait for the job, then pause until it is done."""
        if self._job and self._batch.full:
            wait([self._job.done], _FULL_SECONDS_MAX)
        is_stuck = self._job is not None and self._batch.full and not self._job.done.done()
        if is_stuck:
            self._consumer.pause()
        else:
            self._consumer.resume()
        self._metrics.paused.set(is_stuck)

    def _revoked(self, places: Sequence[Place]) -> None:
        if self._job and not self._stopping.is_set():
            wait([self._job.done], self._bounds.shutdown_seconds_max)
            self._end_job()
        for batch in self._held():
            batch.forget(places)

    def _finish(self) -> None:
        """Write and commit the held batches within the time limit; the next loader reads the rest again."""
        deadline = time.monotonic() + self._bounds.shutdown_seconds_max
        for _ in range(2):  # the running job, then the batch behind it
            if self._job is None and self._batch.rows:
                self._start_writing(FlushReason.SHUTDOWN)
            if self._job:
                wait([self._job.done], max(0.0, deadline - time.monotonic()))
                self._end_job()

    def _close(self) -> None:
        self._stopping.set()
        self._flusher.give_up.set()
        self._consumer.close(self._bounds.shutdown_seconds_max)
        _log.info("loader_stopped", extra={"rows_not_loaded": sum(batch.rows for batch in self._held())})

    def _held(self) -> list[Batch]:
        return [self._batch, *([self._job.batch] if self._job and self._job.batch else [])]

    def _note(self, now: float) -> None:
        self._turned_at = now
        if now - self._noted_at < _NOTE_SECONDS:
            return
        self._noted_at = now
        self._metrics.turned_at.set_to_current_time()
        self._metrics.ready.set(self.is_ready)
        held = self._held()
        self._metrics.held_bytes.set(sum(batch.bytes for batch in held))
        oldest = min((batch.oldest_ms for batch in held if batch.rows), default=None)
        self._metrics.freshness.set(max(0.0, time.time() - oldest / 1000) if oldest is not None else 0.0)
        if now - self._lag_at > _LAG_SECONDS:
            self._lag_at = now
            self._metrics.lag.clear()  # an unknown lag has no sample
            for (topic, partition), lag in self._consumer.lags().items():
                self._metrics.lag.labels(topic, partition).set(lag)


def _started(call: Callable[[], None], batch: Batch | None = None) -> _Job:
    """Start a job in a thread of its own; no stop waits for that thread."""
    done: Future[float] = Future()
    began = time.monotonic()

    def work() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - the loop raises it
            done.set_exception(error)
        else:
            done.set_result(time.monotonic() - began)

    threading.Thread(target=work, name="flush", daemon=True).start()
    return _Job(done, began, batch)
