"""INGEST_KEY on a real broker: one app with 80% of the events, on one partition or on all of them."""

import json
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Message

from consumers.kit import Events, events
from runtime.kafka import record_headers, record_key, topic_contract, topics
from tests.bench.partitions import partition
from tests.support.process import SAMPLES, Ingest
from tests.support.stack import Stack
from tests.support.topic import end_offsets, headers_of, messages_since
from tests.support.waiting import eventually

_PARTITIONS = topic_contract.PARTITIONS[topics.EVENTS]
_OPENED = json.loads((SAMPLES / "AppOpened.json").read_text())
_EVENTS, _DEVICES, _OTHERS = 600, 120, 60
_HOT_SHARE = 0.8

Device = tuple[str, str | None]  # app, device
Posts = list[tuple[str, str | None, str]]  # app, device, event id


@pytest.fixture(params=[*record_key.KEYS])
def ingest(request: pytest.FixtureRequest, services: Stack, tmp_path: Path) -> Iterator[Ingest]:
    """An ingest process for each value of INGEST_KEY."""
    process = Ingest(services.kafka, tmp_path, {"INGEST_KEY": request.param}).start()
    eventually(process.direct)
    yield process
    assert process.stop() == 0


def posts(hot: str) -> Posts:
    """Return events of one great and many small apps; one in ten of the great one has no device."""
    rng = random.Random(1)
    found: Posts = []
    for number in range(_EVENTS):
        if rng.random() < _HOT_SHARE:
            device = f"{hot}-{rng.randrange(_DEVICES)}" if rng.random() < 0.9 else None
            found.append((hot, device, str(number)))
        else:
            found.append((f"{hot}-small-{rng.randrange(_OTHERS)}", "d-1", str(number)))
    return found


def post_in_order(ingest: Ingest, sent: Posts) -> None:
    """Post the events; those of one device one after another."""
    by_device: dict[Device, list[str]] = defaultdict(list)
    for app_id, device_id, event_id in sent:
        by_device[app_id, device_id].append(event_id)

    def post_of_device(device: Device) -> None:
        app_id, device_id = device
        for event_id in by_device[device]:
            event = _OPENED | {"app_id": app_id, "device_id": device_id, "event_id": event_id}
            assert ingest.post(json.dumps(event)).status_code == 200

    with ThreadPoolExecutor(16) as threads:
        assert len([*threads.map(post_of_device, by_device)]) == len(by_device)


def test_the_key_spreads_a_great_app(ingest: Ingest) -> None:
    """By device, in each device's order; an app's consumer gets all of it, whatever the keys."""
    hot = f"hot-{uuid.uuid4().hex[:8]}"
    key_of, is_split = record_key.KEYS[ingest.env["INGEST_KEY"]], "device_id" in ingest.env["INGEST_KEY"]
    before, sent = end_offsets(ingest.kafka, topics.EVENTS), posts(hot)
    post_in_order(ingest, sent)
    found = [
        one
        for one in messages_since(ingest.kafka, topics.EVENTS, before)
        if (record_key.app_id_of(key(one)) or b"").decode().startswith(hot)
    ]

    wanted = Counter(partition(key_of(app, device), _PARTITIONS) for app, device, _ in sent)
    assert Counter(one.partition() for one in found) == wanted
    share = max(wanted.values()) / len(sent)
    assert share < 0.25 if is_split else share > _HOT_SHARE - 0.05

    for one_key in {key_of(app, device) for app, device, _ in sent}:
        ids = [event_id(one) for one in found if key(one) == one_key]
        mine = [sent_id for app, device, sent_id in sent if key_of(app, device) == one_key]
        assert ids == mine if is_split else sorted(ids) == sorted(mine)

    assert ids_of_app(ingest.kafka, hot) == sorted(sent_id for app, _, sent_id in sent if app == hot)


def ids_of_app(kafka: str, app_id: str) -> list[str]:
    """Return the event ids that a consumer of this app gets."""
    env = {"KAFKA_BOOTSTRAP_SERVERS": kafka, "INGEST_ADMIN_URL": "none"}
    stream: Events[dict[str, str]] = events(f"split-{app_id}", app_id=app_id, env=env)
    found: list[str] = []
    for event in stream.ticking(0.5):
        if event is not None:
            found.append(event["event_id"])
        elif stream.read_until_ms:
            stream.stop()
    return sorted(found)


def key(message: Message) -> bytes:
    """Return the key, which must exist."""
    found = message.key()
    assert isinstance(found, bytes)
    return found


def event_id(message: Message) -> str:
    """Return the header event_id."""
    return headers_of(message)[record_headers.EVENT_ID].decode()
