"""A full batch -> rows in ClickHouse, refusals in the quarantine topic. Runs in a thread beside the loop.

Invariants: `write` returns only when every record of the batch is in one of the two; transient errors are
tried again until `give_up` is set, which raises the last of them. Offsets are not its business.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_when_event_set,
    wait_random_exponential,
)
from tenacity.nap import sleep_using_event

from consumers.kit.decode import UNKNOWN_SCHEMA, Refusal
from consumers.kit.errors import TransientError
from consumers.warehouse.errors import (
    BrokenError,
    PermanentError,
    TablesError,
    TooLargeError,
    TooManyRefusedError,
)
from consumers.warehouse.load.batch import Batch, Group
from consumers.warehouse.load.bisect import refused_rows
from consumers.warehouse.load.container import Format, container
from consumers.warehouse.load.quarantined_record import Again, again
from consumers.warehouse.load.schema_bindings import Contract
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.tables import Table
from schemas import topics
from schemas.catalog.catalog import Catalog
from schemas.catalog.wire import checksum, wire_id_of
from schemas.codec.varint import long

_log = logging.getLogger(__name__)

_WAIT_SECONDS_MIN = 0.1
# Of a row that never was a record of its topic: partition and offset -1.
_NO_PLACE = long(-1) + long(-1)
_IDS_AHEAD_MAX = 100  # releases by which a producer may be ahead; an id beyond is nobody's
_AWAITED_MAX = 1000


class Warehouse(Protocol):
    """Where rows go."""

    tables: tuple[Table, ...]  # what `make_tables` makes

    def make_tables(self) -> None:
        """Make what is missing. Raises: TransientError."""

    def insert(self, form: Format, data: bytes) -> None:
        """Store a container's rows. Raises: TransientError, PermanentError."""


class Keep(Protocol):
    """Where refusals go."""

    def write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Return, when all others are kept, those that are too large to keep. Raises: TransientError."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long and how often."""

    retry_seconds_max: float
    refused_rows_max: int  # per batch
    schema_seconds_max: float  # how long a batch waits for schemas that are not known yet


class Flusher:
    """Writes batches, one at a time."""

    def __init__(
        self, warehouse: Warehouse, quarantine: Keep, contract: Contract, policy: Policy, metrics: Metrics
    ) -> None:
        self.give_up = threading.Event()
        self._warehouse = warehouse
        self._quarantine = quarantine
        self._contract = contract
        self._policy = policy
        self._metrics = metrics
        # Schemas' ids that were waited for: what comes late, comes once.
        self._awaited: set[int | None] = set()

    def make_tables(self) -> None:
        """Make what is missing of the tables. Raises: TransientError once given up."""
        self._again("tables")(self._make_tables)

    @property
    def is_outdated(self) -> bool:
        """Whether there is something to take up."""
        return self._contract.changed

    def take_up(self) -> None:
        """Use what was released since: its tables are made before its first row. Raises: TransientError."""
        if self._contract.take_up():
            self.make_tables()

    def write(self, batch: Batch) -> None:
        """Return once every record has its place. Raises: TooManyRefusedError, TransientError."""
        catalog = self._contract.catalog
        newer = [refusal for refusal in batch.refusals if _is_newer(refusal, catalog)]
        refusals = [refusal for refusal in batch.refusals if not _is_newer(refusal, catalog)]
        refused_max = self._policy.refused_rows_max
        groups, unknown = self._newer(newer)
        ours = [refusal for refusal in unknown if refusal.is_ours]
        if len(ours) > refused_max:
            raise TooManyRefusedError(f"{len(ours)} rows of newer producers, the first: {ours[0].detail}")
        refusals += unknown
        for group in [*batch.groups, *groups]:
            refused = self._load(group, refused_max)
            refused_max -= len(refused)
            refusals += refused
        if refusals:
            self._keep(refusals)

    def _newer(self, refusals: Sequence[Refusal]) -> tuple[list[Group], list[Refusal]]:
        """Return rows of releases that the batch did not know, and what nobody knows in time."""
        if not refusals:
            return [], []
        records = [_once_more(refusal) for refusal in refusals]
        ids = {wire_id_of(refusal.body) for refusal in refusals if refusal.is_ours}
        is_awaited = not ids <= self._awaited
        deadline = time.monotonic() + (self._policy.schema_seconds_max if is_awaited else 0)

        def check() -> list[tuple[Again, tuple[Format, bytes] | Refusal]]:
            self.take_up()
            found = [(record, self._contract.terms.check(record.topic(), record)) for record in records]
            if time.monotonic() < deadline:
                for _, checked in found:
                    if isinstance(checked, Refusal) and checked.is_ours and checked.reason == UNKNOWN_SCHEMA:
                        raise TransientError(checked.detail)
            return found

        groups: dict[bytes, Group] = {}
        refused = []
        for (record, checked), refusal in zip(self._again("schemas")(check), refusals, strict=True):
            if isinstance(checked, Refusal):
                refused.append(replace(refusal, reason=checked.reason, detail=checked.detail))
                continue
            form, body = checked
            groups.setdefault(form.prefix, Group(form, record.topic())).parts += (body, record.tail)
        self._awaited = ids if len(self._awaited) > _AWAITED_MAX else self._awaited | ids
        return [*groups.values()], refused

    def _keep(self, refusals: Sequence[Refusal]) -> None:
        for refusal in self._again("quarantine")(self._quarantine.write, refusals):
            form, body = self._contract.terms.check.kept(refusal)
            self._insert(form, (body, _NO_PLACE + long(refusal.received_at_ms)))
        reasons = Counter(refusal.reason for refusal in refusals)
        for reason, count in reasons.items():
            self._metrics.quarantined.labels(reason).inc(count)
        extra = {"reasons": reasons, "records": [refusal.record for refusal in refusals[:10]]}
        _log.warning("records_quarantined", extra=extra)

    def insert(self, group: Group, refused_max: int) -> list[tuple[int, PermanentError]]:
        """Insert a group's rows; return (row, error) of those that are refused, which are kept nowhere.

        Raises: TooManyRefusedError beyond `refused_max`, TransientError.
        """
        check, form, parts = self._contract.terms.check, group.form, group.parts

        def insert(rows: Sequence[int]) -> None:
            if isinstance(rows, range):
                self._insert(form, parts[2 * rows.start : 2 * rows.stop])
            else:
                self._insert(form, [part for row in rows for part in parts[2 * row : 2 * row + 2]])

        def is_suspect(row: int) -> bool:
            return not check.decodes(form, parts[2 * row])

        return refused_rows(len(parts) // 2, insert, is_suspect, refused_max)

    def _make_tables(self) -> None:
        self._warehouse.tables = self._contract.terms.tables
        self._warehouse.make_tables()

    def _load(self, group: Group, refused_max: int) -> list[Refusal]:
        found = self.insert(group, refused_max)
        refusals = [self._refusal(group, row, error) for row, error in found]
        if group.topic != topics.QUARANTINE:
            return refusals
        for (row, _), refusal in zip(found, refusals, strict=True):
            form, body = self._contract.terms.check.kept(refusal)
            self._insert(form, (body, group.parts[2 * row + 1]))
        return []

    def _refusal(self, group: Group, row: int, error: PermanentError) -> Refusal:
        body, tail = group.parts[2 * row : 2 * row + 2]
        return self._contract.terms.check.refused(group.form, group.topic, (body, tail), error.detail)

    def _insert(self, form: Format, parts: Sequence[bytes]) -> None:
        data = container(form, parts)
        self._again("clickhouse", keeps_large=len(parts) <= 2)(self._timed, form, data)  # noqa: PLR2004 - one row
        self._metrics.rows.labels(form.table).inc(len(parts) // 2)
        self._metrics.bytes.inc(len(data))

    def _timed(self, form: Format, data: bytes) -> None:
        began = time.monotonic()
        try:
            self._warehouse.insert(form, data)
        except TablesError:
            _log.warning("tables_made_again", exc_info=True)
            self._make_tables()
            raise
        except PermanentError:
            self._metrics.refused_inserts.inc()
            raise
        finally:
            self._metrics.insert_seconds.observe(time.monotonic() - began)

    def _again(self, target: str, *, keeps_large: bool = True) -> Retrying:
        """Return what calls a function until it succeeds; what can be halved is the caller's to halve."""

        def is_worth_it(error: BaseException) -> bool:
            return isinstance(error, TransientError) and (keeps_large or not isinstance(error, TooLargeError))

        return Retrying(
            retry=retry_if_exception(is_worth_it),
            wait=wait_random_exponential(_WAIT_SECONDS_MIN, self._policy.retry_seconds_max),
            stop=stop_when_event_set(self.give_up),
            sleep=sleep_using_event(self.give_up),
            before_sleep=self._note(target),
            reraise=True,
        )

    def _note(self, target: str) -> Callable[[RetryCallState], None]:
        def note(state: RetryCallState) -> None:
            self._metrics.retries.labels(target).inc()
            error = state.outcome.exception() if state.outcome else None
            extra = {"target": target, "attempt": state.attempt_number, "error": str(error or "")[:1000]}
            if isinstance(error, BrokenError):
                self._metrics.broken_answers.inc()
                _log.error("clickhouse_broken", extra=extra)
            else:
                _log.warning("retrying", extra=extra)

        return note


def _once_more(refusal: Refusal) -> Again:
    headers = ((topics.CRC32, checksum(refusal.body)),) if refusal.is_ours else ()
    return again(refusal.record, refusal.body, refusal.received_at_ms, refusal.app_id, headers)


def _is_newer(refusal: Refusal, catalog: Catalog) -> bool:
    """Return whether a look may explain the schema: one that came since the batch began, or comes soon."""
    if refusal.reason != UNKNOWN_SCHEMA:
        return False
    soon = len(catalog.releases) + _IDS_AHEAD_MAX
    return 0 < (wire_id_of(refusal.body) or 0) <= soon if refusal.is_ours else not catalog.is_complete
