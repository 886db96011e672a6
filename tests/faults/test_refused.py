"""Records that Kafka refuses for good, and damaged bytes of the spool: kept where operators find them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from consumers.kit.decode import fields_of
from runtime.kafka import topics
from schemas.catalog.catalog import Catalog
from tests.faults.posting import event, ids_since
from tests.support.process import ROOT, Ingest
from tests.support.stack import Stack
from tests.support.topic import end_offsets, messages_since, value_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

_SMALL = 20_000  # bytes of a batch
_PADDING = 60_000  # of a larger event, even compressed


@contextmanager
def limited(kafka: str, *names: str) -> Iterator[None]:
    """Limit the topics to small batches."""
    _limit(kafka, names, _SMALL)
    try:
        yield
    finally:
        _limit(kafka, names, topics.VALUE_BYTES_MAX)


def _limit(kafka: str, names: tuple[str, ...], size: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry]) for name in names]
    admin = AdminClient({"bootstrap.servers": kafka})
    for done in admin.incremental_alter_configs(resources).values():
        done.result(10)


class Kept:
    """The records that arrive in the topics from now on."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._before = {name: end_offsets(kafka, name) for name in topics.ALL}

    def ids(self) -> list[str]:
        """Return the ids of events of the app."""
        return ids_since(self._kafka, self._before[topics.EVENTS]).get("app", [])

    def quarantined(self) -> list[dict[str, Any]]:
        """Return the fields of the quarantine's records."""
        messages = messages_since(self._kafka, topics.QUARANTINE, self._before[topics.QUARANTINE])
        release = Catalog.load().quarantine
        return [fields_of(release, value_of(message)) for message in messages]


def posted(process: Ingest, sizes: list[int]) -> list[str]:
    """Return where events with these paddings were kept, numbered from 0."""
    answers = [process.post(event(number, padding)) for number, padding in enumerate(sizes)]
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json()["kept"] for answer in answers]


def spool(process: Ingest, *arguments: str) -> tuple[int, str]:
    """Return exit status and output of `python -m ingest.spool`."""
    env = {"INGEST_SPOOL_DIR": str(process.folder / "spool"), "KAFKA_BOOTSTRAP_SERVERS": process.kafka}
    command = [sys.executable, "-m", "ingest.spool", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("way", ["direct", "spooled"])
def test_a_record_that_kafka_refuses_is_kept(breakable: Stack, tmp_path: Path, way: str) -> None:
    """In the quarantine, as its value; records around it, even in its batch, are in their topic."""
    process = Ingest(breakable.kafka, tmp_path).start()
    assert eventually(process.direct)
    kept = Kept(breakable.kafka)
    with limited(breakable.kafka, topics.EVENTS):
        if way == "spooled":
            breakable.kill("kafka", signal.SIGSTOP)
        try:
            where = posted(process, [0, _PADDING, 0, 0])
        finally:
            breakable.kill("kafka", signal.SIGCONT)
        assert eventually(process.direct, 30)

    (row,) = kept.quarantined()
    assert (row["reason"], row["source"], row["app_id"], row["event_id"]) == ("refused", "spool", "app", "1")
    assert b"padding" in row["body"]
    assert kept.ids() == ["0", "2", "3"]
    assert where == (["kafka"] * 4 if way == "direct" else ["spool"] * 4)
    assert process.metric("tapline_ingest_refused_records_total") == 1
    assert process.metric('tapline_ingest_quarantined_total{reason="refused"}') == 1
    process.stop()


def test_what_no_topic_takes_is_set_aside_and_requeued(breakable: Stack, tmp_path: Path) -> None:
    """A file each, counted, listed and shown; Kafka gets them once it accepts them."""
    process = Ingest(breakable.kafka, tmp_path).start()
    assert eventually(process.direct)
    kept = Kept(breakable.kafka)
    with limited(breakable.kafka, *topics.ALL):
        assert posted(process, [0, _PADDING, _PADDING]) == ["kafka", "spool", "spool"]
        state = process.admin.get("/readyz").json()
        _, listed = spool(process, "list")
        refused = spool(process, "requeue", "all")
    names = [line.split()[0] for line in listed.splitlines() if "AppOpened of app" in line]
    shown = spool(process, "show", names[0])[1]
    done = spool(process, "requeue", "all")

    assert (state["state"], state["set_aside_files"]) == ("direct", 2)
    assert state["spool_bytes"] == state["set_aside_bytes"] > _PADDING
    assert len(names) == 2
    assert refused[0] == 1
    assert "Kafka refuses" in refused[1]
    assert json.loads(shown)["topic"] == topics.EVENTS
    assert done[0] == 0
    assert sorted(kept.ids()) == ["0", "1", "2"]
    assert kept.quarantined() == []
    assert eventually(process.direct, 30)  # nothing of it is on the disk
    assert spool(process, "show", "no-such-file")[0] == 1
    process.stop()


def test_refused_records_outlive_their_process(breakable: Stack, tmp_path: Path) -> None:
    """Refused again after a restart from the same spool, none overwrites another."""
    with limited(breakable.kafka, *topics.ALL):
        for number in range(2):
            nowhere = Ingest("127.0.0.1:1", tmp_path).start()
            assert nowhere.post(event(number, _PADDING)).status_code == 200
            nowhere.kill()
            process = Ingest(breakable.kafka, tmp_path).start()
            assert eventually(partial(_is_direct, process), 30)
            assert process.metric("tapline_ingest_set_aside_files") == number + 1
            process.kill()

    assert len(list((tmp_path / "spool").glob("*.spool"))) == 0
    assert len(list((tmp_path / "spool" / "set-aside").iterdir())) == 2


def _is_direct(process: Ingest) -> bool:
    return process.metric("tapline_ingest_kafka_direct") == 1


def test_damage_in_the_spool_ends_in_the_quarantine(breakable: Stack, tmp_path: Path) -> None:
    """Verbatim; the events around it arrive, and the segment is removed."""
    kept = Kept(breakable.kafka)
    nowhere = Ingest("127.0.0.1:1", tmp_path).start()
    assert set(posted(nowhere, [0, 0, 0])) == {"spool"}
    nowhere.kill()
    (path,) = (tmp_path / "spool").glob("*.spool")
    data = bytearray(path.read_bytes())
    second = data.index(b"TPL1", 1)
    data[second + 50] ^= 0xFF
    path.write_bytes(data)
    process = Ingest(breakable.kafka, tmp_path).start()
    assert eventually(process.direct, 30)

    (row,) = kept.quarantined()
    assert (row["reason"], row["source"]) == ("damaged", "spool")
    assert row["body"] == bytes(data[second : data.index(b"TPL1", second + 1)])
    assert kept.ids() == ["0", "2"]
    assert process.metric("tapline_ingest_spool_damaged_bytes_total") == len(row["body"])
    process.stop()


def test_a_full_folder_stops_what_would_lose_an_event(breakable: Stack, tmp_path: Path) -> None:
    """500 for records that Kafka refuses, and 200 for all others."""
    process = Ingest(breakable.kafka, tmp_path, {"INGEST_SET_ASIDE_BYTES_MAX": str(1024 * 1024)}).start()
    assert eventually(process.direct)
    with limited(breakable.kafka, *topics.ALL):
        answers = [process.post(event(number, 300_000)) for number in range(6)]
        small = process.post(event(7))
    process.stop()

    assert [answer.status_code for answer in answers] == [200, 200, 200, 500, 500, 500]
    assert "INGEST_SET_ASIDE_BYTES_MAX" in answers[-1].json()["detail"]
    assert small.status_code == 200
