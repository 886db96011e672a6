"""A full batch -> rows in ClickHouse, and refusals in the quarantine topic. Runs in a thread beside the loop.

Invariants: `write` returns only when every record of the batch is in one of the two. Transient errors are
retried until `give_up` is set, which raises the last of them. It does not handle offsets.
"""

import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from consumers.kit.decode import DAMAGED, UNKNOWN_SCHEMA, Refusal
from consumers.kit.erasures.follower import Erasures
from consumers.kit.errors import TransientError
from consumers.kit.schema_patience import SchemaPatience
from consumers.warehouse.errors import PermanentError, TooManyRefusedError
from consumers.warehouse.load.batch import Batch, RowGroup
from consumers.warehouse.load.container import head_of
from consumers.warehouse.load.inserts import Inserts, Policy, Store
from consumers.warehouse.load.quarantined_record import QuarantinedRecord, quarantined_record
from consumers.warehouse.load.schema_bindings import CurrentBindings
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.tables import Table
from runtime.kafka import record_headers, topics
from runtime.retry import RetryPolicy, retrying_until
from schemas.catalog.catalog import Catalog
from schemas.catalog.wire import checksum, wire_id_of
from schemas.codec.varint import long

_log = logging.getLogger(__name__)

# Partition and offset of a row that never was a record of its topic: -1.
_NO_PLACE = head_of(topics.UNKNOWN_LOG, -1) + long(-1)
_IDS_AHEAD_MAX = 100  # a producer may be this many releases ahead; no release will have a greater id soon
_CUT_BYTES = 65_536  # kept of a value that the quarantine rejects as a whole


class Warehouse(Store, Protocol):
    """The destination of rows."""

    tables: tuple[Table, ...]  # to be created by `make_tables`


class RefusalStore(Protocol):
    """The destination of refusals."""

    def write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Write all refusals; return those that are too large. Raises: TransientError."""


class Flusher:
    """Writes batches, one at a time."""

    def __init__(
        self,
        warehouse: Warehouse,
        quarantine: RefusalStore,
        schemas: CurrentBindings,
        policy: Policy,
        metrics: Metrics,
        erasures: Erasures,
    ) -> None:
        self.give_up = threading.Event()
        self.problem = ""  # why the tables cannot be created, while they cannot
        self._warehouse = warehouse
        self._quarantine = quarantine
        self.schemas = schemas
        self._policy = policy
        self._metrics = metrics
        self.inserts = Inserts(warehouse, policy, metrics, self.give_up, erasures)
        self._patience = SchemaPatience(policy.schema_seconds_max)
        self._erasures = erasures

    def make_tables(self) -> None:
        """Create missing tables and columns. Raises: TransientError once given up."""
        self._retry("tables")(self._make_tables)
        self.problem = ""

    def reload_schemas(self) -> None:
        """Use newly released schemas; creates tables before their first row. Raises: TransientError."""
        if self.schemas.reload():
            self.make_tables()

    def write(self, batch: Batch) -> None:
        """Write every record of the batch. Raises: TooManyRefusedError, TransientError."""
        self.inserts.reset()
        refused_max = self._policy.refused_rows_max
        groups, refusals = self._checked_again(batch.refusals, batch.logs)
        for group in [*batch.groups, *groups]:
            refused = self._load(group, refused_max)
            refused_max -= sum(refusal.reason != DAMAGED for refusal in refused)
            refusals += refused
        if refusals := self._of_nobody_erased(refusals):
            self._keep(refusals)
        self.inserts.reset()

    def _checked_again(
        self, refusals: Sequence[Refusal], logs: Mapping[str, int]
    ) -> tuple[list[RowGroup], list[Refusal]]:
        """Return the rows of schemas released since the batch began, and the other refusals.

        Raises: TooManyRefusedError, if records of ours are still unknown in time; TransientError.
        """
        catalog = self.schemas.catalog
        newer = [refusal for refusal in refusals if _is_newer(refusal, catalog)]
        others = [refusal for refusal in refusals if not _is_newer(refusal, catalog)]
        if not newer:
            return [], others
        self._wait_for_schemas({wire_id_of(refusal.body) for refusal in newer if refusal.is_ours})
        groups: dict[bytes, RowGroup] = {}
        unknown = []
        for refusal in newer:
            record = _once_more(refusal)
            checked = self.schemas.bindings.check(record.topic(), record)
            if isinstance(checked, Refusal):
                unknown.append(replace(refusal, reason=checked.reason, detail=checked.detail))
                continue
            form, body = checked
            head = record.head(logs.get(record.topic(), topics.UNKNOWN_LOG))
            groups.setdefault(form.prefix, RowGroup(form, record.topic())).parts += (body, head)
        ours = [refusal for refusal in unknown if refusal.is_ours]
        if len(ours) > self._policy.refused_rows_max:
            raise TooManyRefusedError(f"{len(ours)} rows of newer producers, the first: {ours[0].detail}")
        return [*groups.values()], others + unknown

    def _wait_for_schemas(self, ids: set[int | None]) -> None:
        """Reload until schemas have all of these ids, as long as patience lasts."""
        seconds_max = self._patience.seconds_for(ids)
        deadline = time.monotonic() + seconds_max
        unknown: set[int | None] = set()

        def reload() -> None:
            nonlocal unknown
            self.reload_schemas()
            unknown = {wire_id for wire_id in ids if self.schemas.catalog.by_wire_id(wire_id or 0) is None}
            if unknown and time.monotonic() < deadline:
                raise TransientError(f"no schema has the id {', '.join(map(str, unknown))}")

        self._retry("schemas")(reload)
        if unknown and seconds_max:
            self._patience.waited_in_vain(unknown)

    def _load(self, group: RowGroup, refused_max: int) -> list[Refusal]:
        found = self.inserts.insert(group, self.schemas.bindings, refused_max)
        refusals = [self._refusal(group, row, error) for row, error in found]
        if group.topic != topics.QUARANTINE:
            return refusals
        heads = [group.parts[2 * row + 1] for row, _ in found]
        self._store([*zip(refusals, heads, strict=True)])
        return []

    def _refusal(self, group: RowGroup, row: int, error: PermanentError) -> Refusal:
        body, head = group.parts[2 * row : 2 * row + 2]
        refusal = self.schemas.bindings.refused(group.form, group.topic, (body, head), error.detail)
        return replace(refusal, reason=error.reason)

    def _of_nobody_erased(self, refusals: list[Refusal]) -> list[Refusal]:
        if not refusals:
            return []
        erased = self._retry("erasures")(self._erasures.current)
        kept = [r for r in refusals if not erased.stops_body(r.body, r.received_at_ms, r.app_id or "")]
        self._metrics.erased_rows.inc(len(refusals) - len(kept))
        return kept

    def _keep(self, refusals: Sequence[Refusal]) -> None:
        large = self._retry("quarantine")(self._quarantine.write, refusals)
        self._store([(refusal, _NO_PLACE + long(refusal.received_at_ms)) for refusal in large])
        reasons = Counter(refusal.reason for refusal in refusals)
        for reason, count in reasons.items():
            self._metrics.quarantined.labels(reason).inc(count)
        extra = {"reasons": reasons, "records": [refusal.record for refusal in refusals[:10]]}
        _log.warning("records_quarantined", extra=extra)

    def _store(self, rows: Sequence[tuple[Refusal, bytes]]) -> None:
        """Write refusals (with the heads of their rows) to the quarantine's table; rejected ones, reduced."""
        left = [([refusal, *_remains(refusal)], head) for refusal, head in rows]
        while left:
            parts: list[bytes] = []
            for remains, head in left:
                form, body = self.schemas.bindings.kept(remains.pop(0))
                parts += (body, head)
            group = RowGroup(form, topics.QUARANTINE, parts)
            refused = self.inserts.insert(group, self.schemas.bindings, len(left))
            for row, error in refused:
                if not left[row][0]:
                    raise error
            left = [left[row] for row, _ in refused]

    def _make_tables(self) -> None:
        self._warehouse.tables = self.schemas.bindings.tables
        self._warehouse.make_tables()

    def _retry(self, target: str) -> RetryPolicy:
        """Return the retry policy for `target`."""

        def note(attempts: int, error: str) -> None:
            self._metrics.retries.labels(target).inc()
            self.problem = error if target == "tables" else self.problem
            _log.warning("retrying", extra={"target": target, "attempt": attempts, "error": error})

        return retrying_until(self.give_up, TransientError, self._policy.retry_seconds_max, note)


def remains_of(body: bytes) -> tuple[bytes, ...]:
    """Return the forms of a body in the quarantine: whole, its beginning, or a digest."""
    return body, body[:_CUT_BYTES], f"sha256:{hashlib.sha256(body).hexdigest()}".encode()


def _remains(refusal: Refusal) -> Iterator[Refusal]:
    """Yield ever smaller refusals; the last holds only a digest, which identifies the row."""
    body, beginning, digest = remains_of(refusal.body)
    size = len(body)
    if size > len(beginning):
        detail = (
            f"the first {_CUT_BYTES} of {size} bytes, because ClickHouse rejects the whole: {refusal.detail}"
        )
        yield replace(refusal, body=beginning, detail=detail)
    detail = f"without its {size} bytes, which ClickHouse rejects; they are in Kafka"
    yield replace(refusal, body=digest, detail=detail, app_id=None, event_id=None)


def _once_more(refusal: Refusal) -> QuarantinedRecord:
    headers = ((record_headers.CRC32, checksum(refusal.body)),) if refusal.is_ours else ()
    return quarantined_record(refusal.record, refusal.body, refusal.received_at_ms, refusal.app_id, headers)


def _is_newer(refusal: Refusal, catalog: Catalog) -> bool:
    """Return whether a reload may explain the schema: released since the batch began, or soon."""
    if refusal.reason != UNKNOWN_SCHEMA:
        return False
    soon = len(catalog.releases) + _IDS_AHEAD_MAX
    return 0 < (wire_id_of(refusal.body) or 0) <= soon if refusal.is_ours else not catalog.is_complete
