"""Spooled records go to Kafka in order, even after a failure or a refusal."""

import asyncio
from pathlib import Path
from unittest import mock

import pytest

from ingest.delivery.hand_over import HandOver
from ingest.delivery.producer_port import NotAcknowledgedError, RefusedError
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.rescue import Rescue
from ingest.delivery.spool import Spool
from ingest.metrics import Metrics
from runtime.kafka import topics


class _Kafka:
    """A `Producer` with a given outcome for each record: in its batch, and alone."""

    def __init__(self, in_batch: dict[bytes, Exception], alone: dict[bytes, Exception]) -> None:
        self.written: list[bytes] = []
        self._in_batch = in_batch
        self._alone = alone

    def produce(self, record: OutgoingRecord) -> asyncio.Future[None]:
        return self._end(record, self._in_batch)

    def produce_alone(self, record: OutgoingRecord) -> asyncio.Future[None]:
        return self._end(record, self._alone)

    def _end(self, record: OutgoingRecord, failures: dict[bytes, Exception]) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        if failure := failures.get(record.value):
            future.set_exception(failure)
        else:
            self.written.append(record.value)
            future.set_result(None)
        return future


AWAY, REFUSED = NotAcknowledgedError("away"), RefusedError("too large")


def hand_over(folder: Path, kafka: _Kafka, values: str) -> tuple[list[str], str]:
    """Spool one record per letter and deliver them; return the rescued ones and the failure."""
    rescued: list[str] = []

    async def refused(record: OutgoingRecord, _why: str) -> str:
        rescued.append(record.value.decode())
        return "kafka"

    async def run() -> str:
        spool = Spool(folder, 1 << 20)
        await spool.open()
        writing = asyncio.create_task(spool.run())
        for value in values:
            await spool.append(OutgoingRecord(topics.EVENTS, b"app", value.encode(), [], 0))
        piece = await spool.read()
        assert piece
        rescue = mock.create_autospec(Rescue, instance=True)
        rescue.refused.side_effect = refused
        try:
            await HandOver(kafka, spool, rescue, Metrics()).deliver(piece)  # type: ignore[arg-type]
        except NotAcknowledgedError as error:
            return str(error)
        finally:
            writing.cancel()
            await spool.close()
        return ""

    return rescued, asyncio.run(run())


@pytest.mark.parametrize(
    ("in_batch", "alone", "written", "rescued", "failure"),
    [
        ({}, {}, b"abcd", [], ""),
        ({b"c": REFUSED}, {b"c": REFUSED}, b"abdd", ["c"], ""),
        ({b"b": REFUSED, b"c": REFUSED}, {b"c": REFUSED}, b"adbd", ["c"], ""),
        ({b"b": AWAY, b"c": AWAY, b"d": AWAY}, {}, b"a", [], "away"),
        # Alone, "c" and "d" would overtake "b".
        ({b"b": AWAY, b"c": REFUSED, b"d": REFUSED}, {}, b"a", [], "away"),
    ],
)
def test_nothing_goes_on_behind_a_failure(
    tmp_path: Path,
    in_batch: dict[bytes, Exception],
    alone: dict[bytes, Exception],
    written: bytes,
    rescued: list[str],
    failure: str,
) -> None:
    """A refused record and all later ones are resent alone, but only after records that Kafka has."""
    kafka = _Kafka(in_batch, alone)

    assert hand_over(tmp_path, kafka, "abcd") == (rescued, failure)
    assert b"".join(kafka.written) == written
