"""What becomes of each record of a batch: a row, or a refusal that is kept with its place and its reason."""

import io
from collections.abc import Callable, Sequence
from typing import Any, cast

import fastavro

from consumers.kit.decode import Refusal, encode_refusal
from consumers.kit.erasures.follower import NobodyErased
from consumers.warehouse.errors import PermanentError, SetAsideError
from consumers.warehouse.load.batch import Batch, BatchLimits
from consumers.warehouse.load.container import Format
from consumers.warehouse.load.flush import Flusher
from consumers.warehouse.load.inserts import Policy
from consumers.warehouse.load.schema_bindings import CurrentBindings
from consumers.warehouse.metrics import Metrics
from runtime.kafka import topics
from schemas.catalog.schema_reloader import SchemaReloader
from tests.support.loop import StandInStore
from tests.support.warehouse import CATALOG, NOW_MS, Message, body, crc, message

_SCHEMAS = SchemaReloader()
_LARGE = b"x" * 70_000


class _Store(StandInStore):
    """Stores rows unless `rejects` raises for one of them."""

    def __init__(self, rejects: Callable[[dict[str, Any]], PermanentError | None]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.refusals: list[Refusal] = []
        self.too_large: list[Refusal] = []
        self._rejects = rejects

    def insert(self, form: Format, data: bytes) -> None:
        """Store all rows, or none."""
        assert form.header
        rows = [cast("dict[str, Any]", row) for row in fastavro.reader(io.BytesIO(data))]
        if error := next(filter(None, map(self._rejects, rows)), None):
            raise error
        self.rows += rows

    def write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Keep all, of which some are too large for Kafka."""
        self.refusals += refusals
        return self.too_large or [one for one in refusals if len(one.body) > len(_LARGE)]

    def places(self) -> list[tuple[int, int]]:
        """Return partition and offset of each row."""
        return [(row["_partition"], row["_offset"]) for row in self.rows]


def write(store: _Store, *messages: Message) -> Metrics:
    """Write a batch of these messages."""
    metrics = Metrics()
    schemas = CurrentBindings(_SCHEMAS, metrics)
    batch = Batch(BatchLimits(1000, 1 << 30, 0.0), schemas.bindings)
    batch.add(messages, 0.0, {})
    Flusher(store, store, schemas, Policy(0.0, 1000, 0.0), metrics, NobodyErased()).write(batch)
    return metrics


def quarantined(content: bytes, offset: int) -> Message:
    """Return a refusal as the quarantine topic has it."""
    refusal = Refusal("refused", "why", content, NOW_MS - 1, "tapcart.events/3/4", "shop", "one")
    value = encode_refusal(CATALOG, refusal)
    return Message(value, topics.QUARANTINE, 0, offset, crc(value), None)


def count(metrics: Metrics, reason: str) -> float | None:
    """Return how many records were quarantined for a reason."""
    return metrics.registry.get_sample_value("tapline_warehouse_quarantined_total", {"reason": reason})


def test_a_rejected_row_is_kept_and_the_others_are_stored() -> None:
    """With its place, its ids, and the engine's message."""
    store = _Store(lambda row: PermanentError("Code: 6") if row["_offset"] == 5 else None)
    bad = message(body(app_id="shop", event_id="five"), offset=5, partition=2)
    metrics = write(store, *(message(body(), offset=n, partition=2) for n in range(5)), bad)

    [refusal] = store.refusals
    assert (refusal.reason, refusal.detail, refusal.record) == ("refused", "Code: 6", "tapcart.events/2/5")
    assert (refusal.app_id, refusal.event_id, refusal.body) == ("shop", "five", bad.value())
    assert sorted(store.places()) == [(2, n) for n in range(5)]
    assert (count(metrics, "refused"), count(metrics, "set_aside")) == (1, 0)


def test_a_row_that_is_set_aside_has_that_reason() -> None:
    """An operator may replay it once the cause is gone."""
    store = _Store(lambda _: SetAsideError("no space"))
    metrics = write(store, message(body()))

    assert [refusal.reason for refusal in store.refusals] == ["set_aside"]
    assert count(metrics, "set_aside") == 1


def test_a_rejected_row_of_the_quarantine_never_circulates() -> None:
    """It is stored at its own offset, in a form that the table accepts, and not sent to the topic again."""
    store = _Store(lambda row: PermanentError("no") if row["body"] == b"poison" else None)
    write(store, quarantined(b"fine", 6), quarantined(b"poison", 7), quarantined(b"fine too", 8))

    assert store.refusals == []
    assert sorted(store.places()) == [(0, 6), (0, 7), (0, 8)]
    [reduced] = [row for row in store.rows if row["_offset"] == 7]
    assert reduced["_appended_at"].timestamp() * 1000 == NOW_MS


def test_a_body_that_the_table_rejects_leaves_its_digest() -> None:
    """Without ids, which may be what is rejected; the beginning of a long body is tried first."""
    tried: list[bytes] = []

    def rejects(row: dict[str, Any]) -> PermanentError | None:
        tried.append(row["body"])
        return None if row["body"].startswith(b"sha256:") else PermanentError("no")

    store = _Store(rejects)
    write(store, quarantined(_LARGE, 1))

    [row] = store.rows
    assert (row["app_id"], row["event_id"], row["record"]) == (None, None, "tapcart.quarantine/0/1")
    assert [len(one) for one in tried][-2] == 65_536
    assert "without its " in row["detail"]


def test_a_refusal_too_large_for_kafka_becomes_a_row_without_a_place() -> None:
    """Of the time when it was received."""
    store = _Store(lambda _: None)
    huge = b"\x01" + _LARGE
    write(store, Message(huge, offset_=9, at_ms=NOW_MS - 7))

    [row] = store.rows
    assert (row["_partition"], row["_offset"], row["body"]) == (-1, -1, huge)
    assert row["_appended_at"].timestamp() * 1000 == NOW_MS - 7
    assert row["record"] == "tapcart.events/0/9"
