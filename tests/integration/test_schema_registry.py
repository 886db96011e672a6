"""A running stack with an external schema registry: before it is set, while it works, while it is down."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from consumers.kit import events
from runtime.kafka import record_headers, topics
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from tests.clients.events import TYPES, Reading, bodies, differences, plain, post, reading
from tests.support.process import SAMPLES, Ingest
from tests.support.registry import StandIn
from tests.support.site import Site
from tests.support.stack import ROOT, Stack
from tests.support.topic import end_offsets, headers_of, messages_since, value_of
from tests.support.waiting import eventually, patience
from tests.support.web import WEB

pytestmark = pytest.mark.slow

ALL = "kafka,clickhouse,warehouse,ingest,live"
CATALOG = Catalog.load()
CONTEXT = SerializationContext(topics.EVENTS, MessageField.VALUE)
_OPENED: dict[str, Any] = json.loads((SAMPLES / "AppOpened.json").read_text())
_HALF = 400


@dataclass
class Run:
    """The posted events, and the places of their records."""

    site: Site
    registry: StandIn
    events: list[bytes]  # half of them before there was a registry
    since: dict[int, int]  # offsets at which the registry's ids start
    is_undecoded: bool  # whether the loader checked none of them one by one

    def client(self, url: str = "") -> SchemaRegistryClient:
        """Return Confluent's client, unchanged."""
        basic = {} if url else {"basic.auth.user.info": self.registry.basic}
        return SchemaRegistryClient({"url": url or self.registry.open_url, "max.retries": 0, **basic})

    @property
    def admin(self) -> str:
        """Ingest's admin port."""
        return self.site.stack.admin_url

    def posted(self) -> list[Message]:
        """Return a record of each event of the second half; a busy broker may have two."""
        found: dict[bytes, Message] = {}
        for one in messages_since(self.site.stack.kafka, topics.EVENTS, self.since):
            if one.headers():
                found[headers_of(one)[record_headers.EVENT_ID]] = one
        ids = [json.loads(event)["event_id"].encode() for event in self.events[_HALF:]]
        return [found[one] for one in ids if one in found]

    def opened(self, app: str, count: int, **more: Any) -> None:
        """Post some events of a new app, and wait for their rows."""
        before = self.site.count("events", f"app_id = '{app}'")
        given = {"app_id": app} | more
        self.site.post(*(_OPENED | {"event_id": f"{app}{before + n}"} | given for n in range(count)))
        self.site.tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", before + count)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Events without a registry and without a loader; then a registry, a loader, and as many again."""
    folder, events = tmp_path_factory.mktemp("registry"), bodies()[: 2 * _HALF]
    site = Site(folder, "kafka,ingest")
    stack = site.stack.start()
    asyncio.run(post(stack.ingest_url, events[:_HALF]))
    assert WEB.post(stack.ingest_url, content=b'{"event_type":"before"}').status_code == 422
    since = end_offsets(stack.kafka, topics.EVENTS)
    stack.stop()
    with StandIn() as registry:
        stack.env |= {
            "SCHEMA_REGISTRY_URL": registry.open_url,
            "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": registry.basic,
        }
        site.stack = Stack(folder / "data", ALL, stack.env).start()
        try:
            asyncio.run(post(site.stack.ingest_url, events[_HALF:]))
            assert WEB.post(site.stack.ingest_url, content=b'{"event_type":"after"}').status_code == 422
            site.tables.wait("SELECT count() FROM tapcart.events", len(events))
            site.tables.wait("SELECT count() FROM tapcart.quarantine", 2)
            is_undecoded = site.metric("warehouse", "checked_records_total") == 0
            yield Run(site, registry, events, since, is_undecoded=is_undecoded)
        finally:
            registry.mend()
            site.stack.stop()


def test_values_begin_with_the_registrys_ids(run: Run) -> None:
    """Each is our own id of another release; a header holds our own id."""
    messages = run.posted()
    for message in messages:
        wire_id, own = (
            wire.wire_id_of(value)
            for value in (value_of(message), headers_of(message)[record_headers.SCHEMA_REGISTRY])
        )
        release = CATALOG.by_wire_id(own or 0)
        assert release
        assert wire_id
        assert run.registry.texts[wire_id] == release.text
        assert wire_id != own

    assert len(messages) == _HALF
    assert len(run.registry.texts) >= len(CATALOG.releases)


@pytest.mark.parametrize("where", ["the registry", "ingest"])
def test_confluents_client_reads_what_was_posted(run: Run, where: str) -> None:
    """From the registry itself, and from ingest, which answers with the same ids."""
    messages = run.posted()
    subject = "tapcart.events-AppOpened"
    with run.client("" if where == "the registry" else f"{run.admin}/registry") as client:
        decode = AvroDeserializer(client)
        readings = [_reading(message, decode(message.value(), CONTEXT)) for message in messages]
        newest = client.get_latest_version(subject)

    assert {one.record for one in readings} >= TYPES
    assert [*differences(run.events[_HALF:], readings)] == []
    assert newest.schema_id == run.registry.subjects[subject][-1]


def _reading(message: Message, record: Any) -> Reading:
    own = wire.wire_id_of(headers_of(message)[record_headers.SCHEMA_REGISTRY])
    release = CATALOG.by_wire_id(own or 0)
    assert release
    return reading(release.name, plain(record))


def test_all_are_loaded_undecoded_and_nothing_is_missing(run: Run) -> None:
    """Including earlier ones: each in its table, none checked one by one."""
    wanted: dict[str, int] = {}
    for event in map(json.loads, run.events):
        wanted[event["event_type"]] = wanted.get(event["event_type"], 0) + 1
    ids = "', '".join(json.loads(event)["event_id"] for event in run.events)
    counts = run.site.tables.rows(
        f"SELECT event_type, count() FROM tapcart.events WHERE event_id IN ('{ids}') GROUP BY event_type"
    )

    assert {name: count for name, count in counts} == wanted  # noqa: C416 - typed so
    assert run.is_undecoded
    assert run.site.count("quarantine", "reason = 'invalid_field'") == 2
    assert "nothing is missing" in run.site.run("consumers.reconcile")


def test_the_live_page_reads_them(run: Run) -> None:
    """The newest events have their type, whichever ids they use."""
    run.opened("live", 3)
    shown: list[dict[str, Any]] = []

    def is_shown() -> bool:
        shown[:] = WEB.get(f"{run.site.stack.live_url}/api/snapshot").json()["newest"]
        return sum((one["app_id"], one["event_type"]) == ("live", "AppOpened") for one in shown) >= 3

    eventually(is_shown, 20, "the newest events")


def test_a_record_of_anothers_serializer_is_loaded(run: Run) -> None:
    """It has no headers: its id is the registry's."""
    release = CATALOG.by_schema_id("Event_AppOpened_5_0_0")
    assert release
    settings = {"auto.register.schemas": False, "subject.name.strategy": topic_record_subject_name_strategy}
    blank = {field["name"]: field.get("default") for field in release.schema["fields"]}
    moment = _OPENED["timestamp"]
    event = {"event_type": "AppOpened", "event_id": "foreign", "app_id": "foreign", "device_id": "d"}
    with run.client() as client:
        encode = AvroSerializer(client, release.text, conf=settings)
        value = encode(blank | event | {"timestamp": moment, "received_at": moment}, CONTEXT)
    producer = Producer({"bootstrap.servers": run.site.stack.kafka})
    producer.produce(topics.EVENTS, value, b"foreign")
    assert producer.flush(20) == 0

    run.site.tables.wait("SELECT count() FROM tapcart.app_opened WHERE app_id = 'foreign'", 1)


def test_what_the_loader_refuses_is_written_by_the_registrys_id(run: Run) -> None:
    """So readers of the quarantine topic can use that registry too."""
    since = end_offsets(run.site.stack.kafka, topics.QUARANTINE)
    producer = Producer({"bootstrap.servers": run.site.stack.kafka})
    producer.produce(topics.EVENTS, wire.prefix(999_999) + b"body", b"odd")
    assert producer.flush(20) == 0
    run.site.tables.wait("SELECT count() FROM tapcart.quarantine WHERE reason = 'unknown_schema'", 1)
    context = SerializationContext(topics.QUARANTINE, MessageField.VALUE)
    with run.client() as client:
        decode = AvroDeserializer(client)
        [read] = [
            decode(m.value(), context) for m in messages_since(run.site.stack.kafka, topics.QUARANTINE, since)
        ]

    assert isinstance(read, dict)
    assert (read["source"], read["body"][5:]) == ("warehouse", b"body")


def test_consumers_of_ones_own_read_them(run: Run) -> None:
    """The kit yields each event once, including earlier ones; it needs no registry."""
    wanted = {json.loads(event)["event_id"] for event in run.events}
    env = {"KAFKA_BOOTSTRAP_SERVERS": run.site.stack.kafka, "SCHEMAS_DIR": str(run.site.schemas)}
    found: list[str] = []
    for event in events(group="own", env=env):
        found += [event["event_id"]] if event["event_id"] in wanted else []
        if len(found) == len(wanted):
            break

    assert set(found) == wanted


def test_replay_goes_by_our_own_ids(run: Run) -> None:
    """Tables reloaded from Kafka are unchanged; bodies rejected by ingest are rejected again."""
    sums = "SELECT count(), sum(cityHash64(event_id, device_id, timestamp)) FROM tapcart.events"
    before = run.site.tables.rows(sums)
    run.site.tables.run("TRUNCATE TABLE tapcart_raw.app_opened")
    run.site.run("consumers.replay", "--from", "2020-01-01", "--to", "2099-01-01")

    assert run.site.tables.rows(sums) == before
    assert "0 put back, 2 stay" in run.site.run(
        "consumers.replay", "--where", "reason = 'invalid_field'", status=1
    )


def test_what_is_released_meanwhile_is_registered(run: Run) -> None:
    """Earlier rows get its columns; later events have the registry's id."""
    run.opened("typed", 5, mood="fine", event_type="Greeted", event_properties={"words": "Hi"})
    before = len(run.registry.texts)
    run.site.run("schemas", "infer", "--event-type", "Greeted", "--out", run.site.folder / "greeted.avsc")
    run.site.run("schemas", "add", run.site.folder / "greeted.avsc")

    assert "Greeted: 5 rows moved" in run.site.run("consumers.replay", "--untyped")
    [wire_id] = run.registry.subjects["tapcart.events-Greeted"]
    assert wire_id == 2 + before
    run.opened("typed", 5, mood="fine", event_type="Greeted", event_properties={"words": "Hi"})
    assert run.site.count("greeted", "event_properties.words = 'Hi' AND mood = 'fine'") == 10
    last = messages_since(run.site.stack.kafka, topics.EVENTS, run.since)
    assert wire_id in {wire.wire_id_of(value_of(message)) for message in last}


def test_a_registry_that_is_away_costs_nothing(run: Run) -> None:
    """Events flow, also after restarts; a release waits until the registry is back."""
    run.opened("asked", 2, event_type="Asked", event_properties={"words": "What?"})
    run.registry.stop()
    try:
        for name in ("ingest", "warehouse", "live"):
            old = run.site.stack.kill(name)
            eventually(lambda name=name, old=old: run.site.stack.pid(name) != old)  # type: ignore[misc]
        assert eventually(lambda: WEB.get(f"{run.admin}/readyz").status_code == 200)
        run.opened("away", 5)
        file = run.site.folder / "asked.avsc"
        run.site.run("schemas", "infer", "--event-type", "Asked", "--out", file)
        run.site.run("schemas", "add", file)
        eventually(lambda: run.site.metric("ingest", "schemas_refused_total") > 0, 20, "ingest tells")
        run.opened("asked", 2, event_type="Asked", event_properties={"words": "What?"})
        assert run.site.count("unmodelled", "event_type = 'Asked'") == 4
        failed = run.site.run("consumers.reconcile", status=2)
        assert failed == ""
    finally:
        run.registry.start()
    eventually(lambda: "tapcart.events-Asked" in run.registry.subjects, 20, "the release is registered")
    assert "Asked: 4 rows moved" in run.site.run("consumers.replay", "--untyped")
    run.opened("asked", 2, event_type="Asked", event_properties={"words": "What?"})

    assert run.site.count("asked", "event_properties.words = 'What?'") == 6
    assert "nothing is missing" in run.site.run("consumers.reconcile")


def test_a_registry_that_refuses_ingest_is_told(run: Run, tmp_path: Any) -> None:
    """Exit status 2 with the registry's message, and no password in it."""
    wrong = {
        "SCHEMA_REGISTRY_URL": run.registry.open_url,
        "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "user:wrong-one",
    }
    ingest = Ingest(run.site.stack.kafka, tmp_path, wrong).start(wait=False)

    assert ingest.process.wait(30 * patience()) == 2
    said = ingest.log.read_text()
    assert "ingest cannot start: SCHEMA_REGISTRY_URL: the registry answers to tapcart." in said
    assert "who are you?" in said
    assert "wrong-one" not in said
    assert "Traceback" not in said


def test_make_run_tells_all_wrong_settings_at_once(tmp_path: Any) -> None:
    """Including the registry's."""
    env = os.environ | {
        "DATA_DIR": str(tmp_path),
        "SCHEMA_REGISTRY_URL": "registry",
        "INGEST_SPOOL_BYTES_MAX": "x",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "deploy.local"], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )

    assert ran.returncode
    assert "SCHEMA_REGISTRY_URL: must be `http://" in ran.stderr
    assert "INGEST_SPOOL_BYTES_MAX" in ran.stderr
