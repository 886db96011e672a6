"""Containers -> ClickHouse, retried until stored; a row that always fails is set aside, but not in an outage.

| state | after a failure | ends when |
|---|---|---|
| trying | the insert is retried, with growing pauses | it is stored; it keeps failing for one reason |
| stuck | several rows: StuckError, so that the caller halves them; one row: it is judged | the batch ends |
| judging | a probe writes other rows, then the row is retried | it is stored or set aside |

`Policy.stuck_seconds_max` limits the time in `trying`. A row is set aside (SetAsideError) if the probe was
stored and the row was not, for the same reason, `_ROUNDS` times in a row.

Invariants: while ClickHouse is down or stores nothing, no row is set aside, however long that takes: time and
failures count only while it answers, and a row is blamed only if others are stored at the same time. One
thread at a time. Source: docs/decisions/0017-loader-errors.md.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from consumers.kit.decode import InvalidRecordError
from consumers.kit.erasures.erased_ids import ErasedIds
from consumers.kit.erasures.follower import Erasures
from consumers.kit.errors import TransientError
from consumers.warehouse.errors import (
    BrokenError,
    DamagedRowError,
    InsertTooLargeError,
    PermanentError,
    ServerError,
    SetAsideError,
    StuckError,
    TablesError,
)
from consumers.warehouse.load.batch import RowGroup
from consumers.warehouse.load.bisect import refused_rows
from consumers.warehouse.load.container import Format, container
from consumers.warehouse.load.erased_rows import without_erased
from consumers.warehouse.load.schema_bindings import SchemaBindings
from consumers.warehouse.metrics import Metrics
from runtime.retry import retrying_until

_log = logging.getLogger(__name__)

_PAUSE_SECONDS_MIN = 0.1
_TRIES_MIN = 3
_ROUNDS = 5
_JUDGING_SECONDS = 1.0  # between two rounds: long enough for a passing failure to end
_LOST = "the connection is lost"


@dataclass(frozen=True, slots=True)
class Policy:
    """Limits of retries."""

    retry_seconds_max: float  # the longest pause between two attempts
    refused_rows_max: int  # per batch
    schema_seconds_max: float  # how long a batch waits for unknown schemas
    stuck_seconds_max: float = 60.0  # how long an insert may fail for one reason before its rows are divided


class Store(Protocol):
    """The table store, as a port."""

    def make_tables(self) -> None:
        """Create missing tables and columns. Raises: TransientError."""

    def insert(self, form: Format, data: bytes) -> None:
        """Store a container's rows. Raises: TransientError, PermanentError."""

    def answers(self) -> bool:
        """Return whether ClickHouse answers a query."""

    def stores_another(self, form: Format, day: int | None) -> bool:
        """Return whether other rows are stored: of this table and day, and in a container."""


@dataclass(slots=True)
class _Failure:
    """A repeated failure of one insert."""

    reason: str
    since: float  # monotonic time, excluding outages of ClickHouse
    error: TransientError  # the last one
    tries: int = 1


class Inserts:
    """Inserts batch after batch."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        metrics: Metrics,
        give_up: threading.Event,
        erasures: Erasures,
    ) -> None:
        self._store, self._policy, self._metrics, self._give_up = store, policy, metrics, give_up
        self._erasures = erasures
        self._stuck = ""  # the reason why this batch is divided

    def reset(self) -> None:
        """Start or end a batch."""
        self._stuck = ""
        self._metrics.stuck.set(0)

    def insert(
        self, group: RowGroup, bindings: SchemaBindings, refused_max: int
    ) -> list[tuple[int, PermanentError]]:
        """Store a group's rows; return (row, error) of the refused ones, which are not stored anywhere.

        Raises: TooManyRefusedError beyond `refused_max`, TransientError.
        """
        form, parts = group.form, [*group.parts]

        def insert(rows: Sequence[int]) -> None:
            if isinstance(rows, range):
                self._insert(form, parts[2 * rows.start : 2 * rows.stop], bindings)
            else:
                self._insert(form, [part for row in rows for part in parts[2 * row : 2 * row + 2]], bindings)

        def damaged(rows: Sequence[int]) -> dict[int, PermanentError]:
            found: dict[int, PermanentError] = {}
            for row in rows:
                try:
                    again = bindings.encoded_again(form, parts[2 * row])
                except InvalidRecordError as error:
                    found[row] = DamagedRowError(error.detail)
                else:
                    if again != parts[2 * row]:  # no second copy of the whole batch
                        parts[2 * row] = again
            return found

        return refused_rows(len(parts) // 2, insert, damaged, refused_max)

    def _insert(self, form: Format, parts: Sequence[bytes], bindings: SchemaBindings) -> None:
        """Store rows (bodies and heads, alternating), all or none, but those of people erased meanwhile.

        Raises: PermanentError, SetAsideError; for several rows StuckError, InsertTooLargeError; once given up
        TransientError.
        """
        rows = len(parts) // 2
        failure: _Failure | None = None
        rounds = 0
        while True:
            # Before the insert, so that an insert that crashes ClickHouse does not look like an outage.
            if failure and not self._store.answers():
                self._rest(form, failure)
                continue
            is_judged = failure is not None and rows == 1 and bool(self._stuck)
            another_is_stored = is_judged and self._store.stores_another(form, bindings.day(form, parts[0]))
            error = self._tried(form, parts)
            if error is None:
                return
            if self._give_up.is_set() or (rows > 1 and isinstance(error, InsertTooLargeError)):
                raise error
            failure = _again(failure, error)
            rounds = rounds + 1 if another_is_stored and failure.reason == self._stuck else 0
            if rounds >= _ROUNDS:
                raise SetAsideError(f"repeatedly failed while other rows were stored: {error}") from error
            self._judge(failure, rows)
            self._pause(form, failure, is_judged=bool(self._stuck) and rows == 1)

    def _tried(self, form: Format, parts: Sequence[bytes]) -> TransientError | None:
        # Again before each attempt: an insert may be retried for hours.
        kept = without_erased(self._current_erasures(), form, parts)
        self._metrics.erased_rows.inc((len(parts) - len(kept)) // 2)
        if not kept:
            return None
        data = container(form, kept)
        began = time.monotonic()
        try:
            self._store.insert(form, data)
        except TransientError as error:
            return self._tables_made_again(error) if isinstance(error, TablesError) else error
        except PermanentError:
            self._metrics.refused_inserts.inc()
            raise
        finally:
            self._metrics.insert_seconds.observe(time.monotonic() - began)
        self._metrics.rows.labels(form.table).inc(len(kept) // 2)
        self._metrics.bytes.inc(len(data))
        return None

    def _current_erasures(self) -> ErasedIds:
        """Return the tombstones, waiting for Kafka: that is no fault of an insert. Raises: TransientError."""

        def note(attempts: int, error: str) -> None:
            self._metrics.retries.labels("erasures").inc()
            _log.warning("retrying", extra={"target": "erasures", "attempt": attempts, "error": error})

        retry = retrying_until(self._give_up, TransientError, self._policy.retry_seconds_max, note)
        return retry(self._erasures.current)

    def _tables_made_again(self, lacking: TablesError) -> TransientError:
        _log.warning("tables_made_again", exc_info=lacking)
        try:
            self._store.make_tables()
        except TransientError as error:
            return error
        return lacking

    def _judge(self, failure: _Failure, rows: int) -> None:
        """Mark the batch as stuck, if it is; the caller then halves several rows."""
        error = failure.error
        if failure.reason != self._stuck:
            seconds = time.monotonic() - failure.since
            if seconds < self._policy.stuck_seconds_max or failure.tries < _TRIES_MIN:
                return
            self._stuck = failure.reason
            self._metrics.stuck.set(1)
            _log.error("insert_stuck", extra={"reason": failure.reason, "rows": rows, "error": str(error)})
        if rows > 1:
            raise StuckError(str(error)) from error

    def _rest(self, form: Format, failure: _Failure) -> None:
        began = time.monotonic()
        self._pause(form, failure, is_judged=False)
        failure.since += time.monotonic() - began

    def _pause(self, form: Format, failure: _Failure, *, is_judged: bool) -> None:
        self._metrics.retries.labels("clickhouse").inc()
        words = {"table": form.table, "attempt": failure.tries, "error": str(failure.error)[:1000]}
        if isinstance(failure.error, BrokenError):
            self._metrics.broken_answers.inc()
            _log.error("clickhouse_broken", extra={"target": "clickhouse", **words})
        else:
            _log.warning("retrying", extra={"target": "clickhouse", **words})
        longest = self._policy.retry_seconds_max
        most = min(_PAUSE_SECONDS_MIN * 2 ** min(failure.tries, 30), longest)
        seconds = min(_JUDGING_SECONDS, longest) if is_judged else random.uniform(0, most)  # noqa: S311 - jitter
        if self._give_up.wait(seconds):
            raise failure.error


def _again(before: _Failure | None, error: TransientError) -> _Failure:
    """Continue or start a series of failures."""
    reason = f"code {error.code}" if isinstance(error, ServerError) else _LOST
    if before is None or before.reason != reason:
        return _Failure(reason, time.monotonic(), error)
    before.error = error
    before.tries += 1
    return before
