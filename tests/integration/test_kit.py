"""The kit's guarantees on a real broker, each under attack: kills at any line, rebalances, poison."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Message, Producer, TopicPartition

from consumers.kit import Events, events
from consumers.kit.decode import fields_of
from consumers.kit.group_consumer import GroupConsumer, Membership
from consumers.kit.types import AddedToCart, AppOpened
from runtime.kafka import topic_contract, topics
from schemas.catalog import wire
from tests.support.kit import Fate, Plan, path_of
from tests.support.live import hanging
from tests.support.process import Child, free_port
from tests.support.stack import ROOT, Stack
from tests.support.topic import consumer, end_offsets, messages_since, value_of
from tests.support.waiting import eventually, patience
from tests.support.warehouse import CATALOG, Sender, body, crc, decoded, value
from tests.support.web import WEB

COUNT = 12


@dataclass(frozen=True)
class Site:
    """A broker, and the test's own app."""

    kafka: str
    app: str
    sender: Sender
    folder: Path

    def send(self, *ids: str, name: str = "AddedToCart") -> None:
        """Send events with these ids."""
        self.sender.events(*(body(name, app_id=self.app, event_id=one) for one in ids))

    def poison(self, data: bytes, headers: Any = None) -> None:
        """Send a record that is not an event."""
        self.sender.put(data, headers=headers or [], key=self.app.encode())
        self.sender.flush()

    def events(self, **options: Any) -> Events[Any]:
        """Return the events of the app."""
        env = {"KAFKA_BOOTSTRAP_SERVERS": self.kafka} | options.pop("env", {})
        return events(**{"group": self.app, "app_id": self.app, "env": env} | options)

    def rest(self, count: int, **options: Any) -> list[str]:
        """Return the ids of `count` events that the group has not finished."""
        stream, ids = self.events(**options), []
        watchdog = threading.Timer(20, stream.stop)
        watchdog.start()
        for event in stream:
            ids.append(event["event_id"])
            if len(ids) == count:
                stream.stop()
        watchdog.cancel()
        return ids

    def kept(self, since: dict[int, int]) -> list[dict[str, Any]]:
        """Return this app's records in the quarantine."""
        found = (quarantined(one) for one in messages_since(self.kafka, topics.QUARANTINE, since))
        return [one for one in found if one["app_id"] == self.app]

    def killed(self, *fates: Fate, count: int, **more: Any) -> list[dict[str, Any]]:
        """Return the fate of consumers that died: see `tests.support.kit`."""
        plan = self.plan(*fates, count=count, **more)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.support.kit", msgspec.json.encode(plan).decode()],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def plan(self, *fates: Fate, count: int, **more: Any) -> Plan:
        """Return a plan for `tests.support.kit`."""
        return Plan(self.kafka, self.app, count, str(self.folder), fates, **more)


@pytest.fixture
def site(services: Stack, tmp_path: Path) -> Site:
    """A broker, and the test's own app."""
    return Site(services.kafka, f"app-{uuid.uuid4()}", Sender(services.kafka), tmp_path)


def quarantined(message: Message) -> dict[str, Any]:
    """Return a record of the quarantine topic."""
    return fields_of(CATALOG.quarantine, value_of(message))


def named(count: int) -> list[str]:
    """Return ids."""
    return [f"event-{number:03}" for number in range(count)]


@pytest.mark.slow
def test_a_kill_at_any_line_skips_no_event(site: Site) -> None:
    """Before, in and after the body, between body and commit: the next consumer has every event."""
    ids = named(COUNT)
    site.send(*ids[:6])
    site.poison(f"junk {site.app}".encode())
    site.send(*ids[6:])
    found = site.killed(*(Fate(line) for line in range(0, 600, 50)), count=COUNT)

    assert len(found) == 12
    assert all(one["died"] and one["last"] == 0 for one in found)
    assert all(set(one["ids"]) == set(ids) for one in found)
    # Committed events do not come again: the second consumer does not always start at the beginning.
    assert min(len(one["ids"]) for one in found) < 2 * COUNT


def test_a_kill_while_the_quarantine_is_written_loses_no_record(site: Site) -> None:
    """Before the write, in it, and after it: the record is kept once the event behind it is done."""
    fates = [
        Fate(0, ("_keep",)),
        Fate(3, ("write", "_write")),
        Fate(9, ("write", "_write")),
        Fate(5, ("_keep",)),
    ]
    since = end_offsets(site.kafka, topics.QUARANTINE)

    def tried(fate: Fate) -> tuple[list[dict[str, Any]], str]:
        own = Site(site.kafka, f"app-{uuid.uuid4()}", Sender(site.kafka), site.folder / uuid.uuid4().hex)
        own.folder.mkdir()
        own.poison(f"junk {own.app}".encode())
        own.send("behind")
        return own.killed(fate, count=1), own.app

    with ThreadPoolExecutor(2) as threads:
        done = [*threads.map(tried, fates)]
    kept = {quarantined(one)["app_id"] for one in messages_since(site.kafka, topics.QUARANTINE, since)}

    assert [(found[0]["died"], found[0]["last"], found[0]["ids"]) for found, _ in done] == [
        (True, 0, ["behind"])
    ] * len(fates)
    assert kept >= {app for _, app in done}


@pytest.mark.slow
@pytest.mark.parametrize("line", [0, 1])
def test_a_kill_in_a_rebalance_skips_no_event(site: Site, line: int) -> None:
    """A member dies while it hands over partitions, before and after its commits."""
    ids = named(48)
    for number, one in enumerate(ids):
        event = decoded(body("AppOpened", app_id=site.app, event_id=one))
        site.sender.put(event.encode(1_795_000_000_000), key=site.app.encode(), partition=number % 12)
    site.sender.flush()
    fate = Fate(line, ("_revoked",))
    path = path_of(site.plan(fate, count=0), fate)
    other = site.events(group=f"{site.app}-{path.stem}")
    others: list[str] = []

    def join() -> None:
        eventually(lambda: path.exists() and len(path.read_text().split()) > 12, what="events of the first")
        others.extend(event["event_id"] for event in other)

    joining = threading.Thread(target=join)
    joining.start()
    # The survivor ends at once: the rest belongs to the other one.
    (found,) = site.killed(fate, count=0, commit_seconds=1e9)
    eventually(lambda: {*others, *path.read_text().split()} >= set(ids), what="every event")
    other.stop()
    joining.join()

    assert found["died"]


def test_an_exception_in_the_body_leaves_its_event_undone(site: Site) -> None:
    """Earlier events are done; `break` does the same."""
    ids = named(4)
    site.send(*ids)
    for leaves in (True, False):
        with pytest.raises(ZeroDivisionError) if leaves else nullcontext():
            for event in site.events():
                if leaves and event["event_id"] == ids[1]:
                    raise ZeroDivisionError
                if event["event_id"] == ids[2]:
                    break

    assert site.rest(2) == ids[2:]


def test_async_code_gets_the_same(site: Site) -> None:
    """Events in order, an undone exception, stop and ticks."""
    ids = named(4)
    site.send(*ids)

    async def read() -> list[str]:
        stream, found = site.events(types=[AddedToCart]), []
        async for event in stream:
            found.append(event.event_id)
            if event.event_id == ids[1]:
                raise ZeroDivisionError
        return found

    async def rest() -> list[str]:
        stream, found = site.events(types=[AddedToCart]), []
        async with asyncio.timeout(20):
            async for event in stream.ticking_async(0.5):
                found.append(event.event_id if event else "tick")
                if len(found) == 4:
                    stream.stop()
        return found

    with pytest.raises(ZeroDivisionError):
        asyncio.run(read())
    assert [one for one in asyncio.run(rest()) if one != "tick"] == ids[1:]


def test_held_events_come_again(site: Site) -> None:
    """A held event and later ones are not committed; after its release both are."""
    ids = named(3)
    site.send(*ids)
    holds = []
    stream = site.events()
    for event in stream:
        if event["event_id"] == ids[1]:
            holds.append(stream.hold())
        if event["event_id"] == ids[2]:
            stream.stop()

    assert not holds[0].is_ours
    assert site.rest(2) == ids[1:]


def test_poison_goes_to_the_quarantine_and_never_ends_the_loop(site: Site) -> None:
    """A wrong checksum, an unknown schema, undecodable bytes, no value: each with its reason."""
    good = value(body("AddedToCart", app_id=site.app, event_id="good"))
    since = end_offsets(site.kafka, topics.QUARANTINE)
    site.poison(good, headers=crc(b"another"))
    site.poison(wire.prefix(9999) + good[5:])
    site.poison(good[:-3])
    site.poison(wire.prefix(CATALOG.quarantine.wire_id) + good[5:])
    site.send("last")

    assert site.rest(1) == ["last"]
    kept = site.kept(since)
    assert [one["reason"] for one in kept] == ["damaged", "unknown_schema", "damaged", "wrong_topic"]
    assert {one["source"] for one in kept} == {"kit"}
    assert kept[0]["body"] == good
    assert kept[0]["record"].startswith("tapcart.events/")


def test_a_failed_quarantine_write_moves_no_offset(site: Site) -> None:
    """It is retried; stopping meanwhile leaves the record to the next consumer."""
    since = end_offsets(site.kafka, topics.QUARANTINE)
    site.send("first")
    site.poison(f"junk {site.app}".encode())
    site.send("last")
    # A producer with this setting, and without a transaction, sends nothing.
    stream = site.events(env={"KAFKA_TRANSACTIONAL_ID": "none"})
    threading.Timer(4, stream.stop).start()
    found = [event["event_id"] for event in stream]

    assert found == []
    assert site.kept(since) == []
    assert site.rest(2) == ["first", "last"]
    assert len(site.kept(since)) == 1


def test_a_lag_that_nobody_knows_is_no_number(site: Site, services: Stack) -> None:
    """While Kafka hangs, its last report of a topic's end is outdated."""
    source = GroupConsumer(
        {"bootstrap.servers": site.kafka}, Membership(site.app), lambda _: None, lambda: None
    )

    def lags() -> int:
        source.poll(0.1, 1000, 1_000_000)
        return len(source.lags())

    eventually(lambda: lags() > 1, what="lags")
    with hanging(services, "kafka"):
        eventually(lambda: lags() == 0, what="no lags")
    eventually(lambda: lags() > 1, what="lags again")
    source.close(10)


def partition_without_later(kafka: str, moment: datetime) -> int:
    """Return a partition of events without a record of a later time."""
    at_ms = round(moment.timestamp() * 1000)
    asked = [TopicPartition(topics.EVENTS, p, at_ms) for p in range(topic_contract.PARTITIONS[topics.EVENTS])]
    ends = end_offsets(kafka, topics.EVENTS)
    with consumer(kafka) as client:
        found = client.offsets_for_times(asked, timeout=10)
    return next(at.partition for at in found if not 0 <= at.offset < ends[at.partition])


def test_since_counts_once(site: Site) -> None:
    """A group without commits starts there, even if it did nothing; one with commits continues."""
    now = datetime.now(UTC)
    producer = Producer({"bootstrap.servers": site.kafka, "partitioner": topics.PARTITIONER})
    # Ahead of other tests' records there: Kafka searches for the first record of that time.
    partition = partition_without_later(site.kafka, now)
    for minutes in (10, 20, 30):
        event = decoded(body("AppOpened", app_id=site.app, event_id=f"in {minutes}"))
        at_ms = round((now + timedelta(minutes=minutes)).timestamp() * 1000)
        data = event.encode(at_ms)
        producer.produce(
            topics.EVENTS, data, site.app.encode(), partition, headers=[*crc(data)], timestamp=at_ms
        )
    assert producer.flush(10) == 0
    begun = site.events(since=timedelta(minutes=-15))
    with pytest.raises(ZeroDivisionError):
        for _ in begun:
            raise ZeroDivisionError

    # Nothing is done yet; a later `since` no longer counts.
    assert site.rest(2, since=timedelta(minutes=-25)) == ["in 20", "in 30"]
    assert site.rest(1, group=f"{site.app}-2", since=now + timedelta(minutes=25)) == ["in 30"]
    assert site.rest(3, group=f"{site.app}-3") == ["in 10", "in 20", "in 30"]


def test_types_and_apps_are_chosen(site: Site) -> None:
    """A class gives its objects, a name dicts, your own class its fields."""

    class CartUpdated(msgspec.Struct):
        device_id: str

    for name in ("AppOpened", "AddedToCart", "CartUpdated", "CartViewed"):
        site.send(name, name=name)
    stream = site.events(types=[AppOpened, "AddedToCart", CartUpdated])
    found = []
    for event in stream:
        found.append(event)
        if len(found) == 3:
            stream.stop()

    assert [type(one) for one in found] == [AppOpened, dict, CartUpdated]
    assert found[0].event_id == "AppOpened"
    assert found[0].device_properties.os
    assert found[1]["event_id"] == "AddedToCart"


PROGRAM = """
from consumers.kit import events
stream = events(group="{app}", app_id="{app}")
for event in stream:
    print(event["event_id"], stream.record.offset(), flush=True)
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_loop_in_order(site: Site, number: signal.Signals) -> None:
    """After the body, with all of it committed, and metrics until then; exit status 0."""
    site.send(*named(3))
    port = free_port()
    env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": site.kafka, "KIT_METRICS_PORT": str(port)}
    command = [sys.executable, "-c", PROGRAM.format(app=site.app)]
    with Child(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = [process.stdout.readline().split()[0] for _ in range(3)]
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: "tapline_kit_lag_records" in WEB.get(f"{url}/metrics").text, what="lag")
        ready = WEB.get(f"{url}/readyz").status_code
        process.send_signal(number)
        rest = process.stdout.read()
        status = process.wait(20 * patience())
    site.send("later")

    assert found == named(3)
    assert (ready, status, rest) == (200, 0, "ended\n")
    assert site.rest(1) == ["later"]
