"""The audit trail: nothing happens before it is recorded, and a failure is recorded too."""

import asyncio
from collections.abc import Mapping

import pytest

from ingest.delivery.audit_notes import AuditNotes
from runtime.kafka import audit
from runtime.kafka.audit import AuditError, AuditRecord, audited
from runtime.tokens import Token
from tests.support.waiting import eventually

_KAFKA = {"bootstrap.servers": "127.0.0.1:1"}


class Trail:
    """Stands for Kafka."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failing: int) -> None:
        self.records: list[AuditRecord] = []
        self._failing = failing  # the attempts that fail, from 0
        self.attempts = 0
        monkeypatch.setattr(audit, "write", self.write)
        monkeypatch.setattr("ingest.delivery.audit_notes.write", self.write)

    def write(self, _: Mapping[str, str], record: AuditRecord, __: float = 0) -> None:
        """Store a record, or fail."""
        self.attempts += 1
        if self.attempts - 1 in self._failing:
            raise AuditError("Kafka is away")
        self.records.append(record)


def test_an_action_is_recorded_before_and_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both steps have one id; the last has the count."""
    trail = Trail(monkeypatch)
    with audited(_KAFKA, "export", "1 x device_id") as outcome:
        assert [(one.state, one.count) for one in trail.records] == [("started", None)]
        outcome.count = 7
    first, last = trail.records

    assert (last.state, last.count, last.detail) == ("done", 7, "1 x device_id")
    assert first.audit_id == last.audit_id
    assert "@" in last.actor


def test_what_cannot_be_recorded_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """The action is not even tried."""
    Trail(monkeypatch, 0)
    done = []
    with pytest.raises(AuditError), audited(_KAFKA, "export", ""):
        done.append(1)

    assert not done


def test_a_failed_action_is_recorded_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own error, also if that record fails too."""
    trail = Trail(monkeypatch)
    with pytest.raises(ZeroDivisionError), audited(_KAFKA, "export", ""):
        raise ZeroDivisionError
    assert [one.state for one in trail.records] == ["started", "failed"]

    Trail(monkeypatch, 1)
    with pytest.raises(ZeroDivisionError), audited(_KAFKA, "export", ""):
        raise ZeroDivisionError


def test_the_end_of_an_action_that_is_not_recorded_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The action is done."""
    Trail(monkeypatch, 1)
    with pytest.raises(AuditError, match="it is done, but Kafka is away"), audited(_KAFKA, "export", ""):
        pass


def test_kafka_away_is_one_sentence() -> None:
    """And none without an address."""
    record = AuditRecord(action="tokens")
    expected = r"^the audit trail \(tapcart.audit\) cannot be written: Kafka at 127.0.0.1:1 cannot be reached"
    with pytest.raises(AuditError, match=expected):
        audit.write(_KAFKA, record, 0.2)

    assert audit.noted({}, record).startswith("KAFKA_BOOTSTRAP_SERVERS is not set")


def test_ingest_notes_changes_once_kafka_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of tokens, never secrets; names of schemas; nothing if nothing changed."""
    trail = Trail(monkeypatch, 0)

    async def scenario() -> None:
        notes = AuditNotes(_KAFKA, [Token("s3cret-one", frozenset())], ["Event_A_1_0_0"])
        notes.schemas(["Event_A_1_0_0"])
        await asyncio.to_thread(notes.schemas, ["Event_A_1_0_0", "Event_B_1_0_0"])
        notes.tokens([Token("s3cret-two", frozenset()), Token("s3cret-three", frozenset({"app"}))])
        writing = asyncio.ensure_future(notes.run())
        await asyncio.to_thread(eventually, lambda: len(trail.records) == 2)
        writing.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 20))

    assert [(one.action, one.count, one.detail) for one in trail.records] == [
        ("schemas", 1, "ingest takes up Event_B_1_0_0"),
        ("tokens", 3, "ingest takes up 2 new and drops 1 old ones"),
    ]
