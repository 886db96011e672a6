"""Rows of erased people are not inserted: whatever they look like, and however long an insert is retried."""

import io
import threading
from collections.abc import Sequence
from typing import Any, cast

import fastavro
import pytest

from consumers.kit import decode
from consumers.kit.decode import Refusal
from consumers.kit.erasures.erased_ids import DEVICE, ErasedIds, IdHashes
from consumers.kit.erasures.follower import ErasureFollower
from consumers.kit.errors import TransientError
from consumers.warehouse.load.batch import Batch, BatchLimits, RowGroup
from consumers.warehouse.load.container import Format
from consumers.warehouse.load.erased_rows import without_erased
from consumers.warehouse.load.flush import Flusher
from consumers.warehouse.load.inserts import Inserts, Policy
from consumers.warehouse.load.schema_bindings import CurrentBindings
from consumers.warehouse.metrics import Metrics
from runtime.kafka import topics
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.codec.varint import long
from tests.support.loop import StandInStore
from tests.support.warehouse import CATALOG, NOW_MS, Message, body, crc, message, value
from tests.unit.warehouse.test_batch import BINDINGS, FORMATS

_HASHES = IdHashes(b"k" * 32)
_DEVICE = "device-of-somebody"
_RELEASE = CATALOG.newest("AppOpened")
assert _RELEASE
_FORM = FORMATS[_RELEASE.wire_id]
_HEAD = long(0) + long(0) + long(1) + long(NOW_MS)
_POLICY = Policy(0.0, 1000, 0.0)


def somebody(at_ms: int = NOW_MS) -> ErasedIds:
    """Return the tombstone of a device."""
    erased = ErasedIds(_HASHES)
    erased.add(_HASHES.tombstone(DEVICE, _DEVICE, at_ms, ""))
    return erased


def row(**fields: Any) -> list[bytes]:
    """Return a row: its body and head."""
    return [value(body(**fields))[5:], _HEAD]


class _Erasures:
    """Answers one after another; the last one stays."""

    def __init__(self, *answers: ErasedIds | Exception) -> None:
        self._answers = [*answers]

    def current(self) -> ErasedIds:
        """Do what `Erasures` says."""
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Store(StandInStore):
    """Keeps rows; the first inserts fail."""

    def __init__(self, *errors: Exception) -> None:
        self.devices: list[str] = []
        self.refusals: list[Refusal] = []
        self._errors = [*errors]

    def insert(self, _form: Format, data: bytes) -> None:
        """Do what `Store` says."""
        if self._errors:
            raise self._errors.pop(0)
        rows = cast("list[dict[str, Any]]", [*fastavro.reader(io.BytesIO(data))])
        self.devices += [str(one.get("device_id")) for one in rows]

    def write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Do what `RefusalStore` says."""
        self.refusals += refusals
        return []


def test_without_tombstones_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows pass as they are."""
    monkeypatch.setattr(decode, "_read", lambda *_: pytest.fail("decoded"))
    parts = row()

    assert without_erased(ErasedIds(), _FORM, parts) is parts


def test_rows_of_erased_people_are_left_out() -> None:
    """Those of later stay, and of their fields only the first are decoded."""
    mine, other = row(device_id=_DEVICE), row(device_id="another-device")
    nested = row(device_id="another-device", note={"by": [_DEVICE]})

    assert without_erased(somebody(), _FORM, [*mine, *other, *nested]) == other
    assert without_erased(somebody(at_ms=1), _FORM, mine) is mine


def test_a_row_that_cannot_be_decoded_is_searched_too() -> None:
    """As bytes."""
    damaged = [row(device_id=_DEVICE)[0] + b"more", _HEAD]

    assert without_erased(somebody(NOW_MS), _FORM, damaged) == []
    assert without_erased(somebody(1), _FORM, damaged) is damaged


def test_people_erased_while_an_insert_is_retried_are_not_inserted() -> None:
    """The rows are checked before each attempt."""
    store, metrics = _Store(TransientError("away")), Metrics()
    erasures = _Erasures(ErasedIds(), somebody())
    writer = Inserts(store, _POLICY, metrics, threading.Event(), erasures)
    group = RowGroup(_FORM, topics.EVENTS, [*row(device_id=_DEVICE), *row(device_id="another-device")])
    refused = writer.insert(group, BINDINGS, 0)

    assert refused == []
    assert store.devices == ["another-device"]
    assert metrics.erased_rows._value.get() == 1
    assert metrics.rows.labels("app_opened")._value.get() == 1


def test_nothing_is_inserted_while_erasures_are_unknown() -> None:
    """That is no fault of a row, so none is set aside; it ends with the process."""
    store, give_up = _Store(), threading.Event()
    unknown = [TransientError("no answer")] * 3
    group = RowGroup(_FORM, topics.EVENTS, row())
    Inserts(store, _POLICY, Metrics(), give_up, _Erasures(*unknown, ErasedIds())).insert(group, BINDINGS, 0)
    give_up.set()

    assert len(store.devices) == 1
    with pytest.raises(TransientError, match="no answer"):
        Inserts(store, _POLICY, Metrics(), give_up, _Erasures(*unknown)).insert(group, BINDINGS, 0)
    assert len(store.devices) == 1


def test_refused_records_of_erased_people_are_not_quarantined() -> None:
    """They would be in Kafka again, for longer."""
    store, metrics = _Store(), Metrics()
    schemas = CurrentBindings(SchemaReloader(), metrics)
    batch = Batch(BatchLimits(1000, 1 << 30, 0.0), schemas.bindings)
    unknown = [b"\0\x7f\0\0\0" + value(body(device_id=one))[5:] for one in (_DEVICE, "another-device")]
    batch.add([Message(data, headers_=crc(data), at_ms=NOW_MS) for data in unknown], 0.0, {})
    batch.add([message(body(device_id=_DEVICE), 3)], 0.0, {})
    Flusher(store, store, schemas, _POLICY, metrics, _Erasures(somebody())).write(batch)

    assert [one.body for one in store.refusals] == [unknown[1]]
    assert store.devices == []
    assert metrics.erased_rows._value.get() == 2


def test_a_topic_that_cannot_be_read_is_no_answer() -> None:
    """Nobody may take it for one without tombstones."""
    follower = ErasureFollower({"bootstrap.servers": "127.0.0.1:9"}, "test", None)

    with pytest.raises(TransientError, match=r"tapcart\.erasures cannot be read"):
        follower.current()
