"""Confluent's unmodified Python clients on a running ingest: its registry and its topic."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Message, TopicPartition
from confluent_kafka.aio import AIOConsumer
from confluent_kafka.schema_registry import (
    AsyncSchemaRegistryClient,
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AsyncAvroDeserializer, AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from runtime.kafka import topics
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from tests.clients.events import TYPES, Reading, bodies, differences, plain, post, reading
from tests.support.process import Ingest
from tests.support.stack import Stack
from tests.support.topic import end_offsets, messages_since, value_of
from tests.support.waiting import eventually

CATALOG = Catalog.load()
CONTEXT = SerializationContext(topics.EVENTS, MessageField.VALUE)
SUBJECT = "tapcart.events-AppOpened"
_COUNT = 1000


@dataclass(frozen=True)
class Sent:
    """A running ingest, and its posted events."""

    kafka: str
    registry: str
    start: dict[int, int]  # partition -> offset of the first record
    end: dict[int, int]
    events: list[bytes]

    @property
    def records(self) -> int:
        """How many records the topic got; a busy broker may have an event twice."""
        return sum(self.end.values()) - sum(self.start.values())

    def differences(self, readings: Sequence[Reading]) -> list[str]:
        """Return the differences of a client's readings of all records."""
        return [*differences(self.events, readings, again=self.records - _COUNT)]


@pytest.fixture(scope="module")
def sent(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """A thousand events of all types, acknowledged; `make test-clients` reads ten thousand."""
    ingest = Ingest(services.kafka, tmp_path_factory.mktemp("ingest")).start()
    assert eventually(ingest.direct)
    start, events = eventually(lambda: end_offsets(services.kafka, topics.EVENTS)), bodies()[:_COUNT]
    url = f"http://127.0.0.1:{ingest.port}"
    asyncio.run(post(f"{url}/tapcart_webhooks/secret-of-the-tests", events))
    eventually(ingest.direct)
    registry = f"http://127.0.0.1:{ingest.admin_port}/registry"
    yield Sent(services.kafka, registry, start, end_offsets(services.kafka, topics.EVENTS), events)
    assert ingest.stop() == 0


@pytest.fixture
def client(sent: Sent) -> Iterator[SchemaRegistryClient]:
    """Confluent's client, without waits."""
    with SchemaRegistryClient({"url": sent.registry, "max.retries": 0}) as client:
        yield client


def read(message: Message, record: Any) -> Reading:
    """Return a decoded record as a reading; its type is that of its schema."""
    release = CATALOG.by_wire_id(wire.wire_id_of(value_of(message)) or 0)
    assert release
    return reading(release.name, plain(record))


@pytest.mark.slow
def test_the_deserializer_reads_every_event(sent: Sent, client: SchemaRegistryClient) -> None:
    """`SchemaRegistryClient` and `AvroDeserializer`: all 14 types, field by field as posted."""
    decode = AvroDeserializer(client)
    messages = messages_since(sent.kafka, topics.EVENTS, sent.start)
    readings = [read(message, decode(message.value(), CONTEXT)) for message in messages]

    assert {one.record for one in readings} >= TYPES
    assert sent.differences(readings) == []


def test_the_asynchronous_deserializer_reads_every_event(sent: Sent) -> None:
    """`AIOConsumer`, `AsyncSchemaRegistryClient` and `AsyncAvroDeserializer`: the same."""
    readings = asyncio.run(_read_asynchronously(sent))

    assert sent.differences(readings) == []


async def _read_asynchronously(sent: Sent) -> list[Reading]:
    client = AsyncSchemaRegistryClient({"url": sent.registry})
    decode = await AsyncAvroDeserializer(client)
    consumer = AIOConsumer({"bootstrap.servers": sent.kafka, "group.id": "test", "enable.auto.commit": False})
    await consumer.assign([TopicPartition(topics.EVENTS, p, offset) for p, offset in sent.start.items()])
    readings: list[Reading] = []
    async with asyncio.timeout(60):
        while len(readings) < sent.records:
            for message in await consumer.consume(1000, 1.0):
                assert message.error() is None
                readings.append(read(message, await decode(message.value(), CONTEXT)))
    await consumer.close()
    await client.aclose()
    return readings


def test_a_difference_is_told(sent: Sent, client: SchemaRegistryClient) -> None:
    """One field of one event, a missing event, and a duplicate."""
    decode = AvroDeserializer(client)
    messages = messages_since(sent.kafka, topics.EVENTS, sent.start)[:3]
    first, second, third = (read(message, decode(message.value(), CONTEXT)) for message in messages)
    by_id = {json.loads(event)["event_id"]: event for event in sent.events}
    events = [by_id[one.fields["event_id"]] for one in (first, second, third)]
    other = Reading(first.record, first.fields | {"app_id": "other"})

    assert [*differences(events, [first, second, third])] == []
    told = "\n".join(differences(events, [other, second, second]))
    assert f'app_id: "other", not "{first.fields["app_id"]}"' in told
    assert f"{second.fields['event_id']}: read again" in told
    assert f"{third.fields['event_id']}: not read" in told
    assert told.count("\n") == 2


def test_the_client_asks_what_it_can(client: SchemaRegistryClient) -> None:
    """Each reading method of the client gets the expected answer."""
    release = CATALOG.by_schema_id("Event_AppOpened_5_0_0")
    assert release
    schema = Schema(release.text, "AVRO")
    newest = client.get_latest_version(SUBJECT)

    assert client.get_subjects(subject_prefix=SUBJECT) == [SUBJECT]
    assert client.get_versions(SUBJECT) == [1]
    assert (newest.subject, newest.version, newest.schema_id) == (SUBJECT, 1, release.wire_id)
    assert newest.schema.schema_str == client.get_schema(release.wire_id).schema_str == release.text
    assert client.get_version(SUBJECT, 1).schema_id == release.wire_id
    assert client.lookup_schema(SUBJECT, schema, normalize_schemas=True).schema_id == release.wire_id
    assert client.register_schema(SUBJECT, schema) == release.wire_id
    assert client.get_subjects_by_schema_id(release.wire_id) == [SUBJECT]
    assert [(one.subject, one.version) for one in client.get_schema_versions(release.wire_id)] == [
        (SUBJECT, 1)
    ]
    assert client.get_referenced_by(SUBJECT, 1) == []
    assert client.get_schema_types() == ["AVRO"]
    assert client.get_contexts() == ["."]
    assert client.test_compatibility(SUBJECT, schema) is True
    assert client.test_compatibility_all_versions(SUBJECT, schema) is True
    assert client.test_compatibility(SUBJECT, Schema('"string"', "AVRO")) is False
    assert client.get_compatibility() == client.get_compatibility(SUBJECT) == "BACKWARD"
    assert client.get_global_mode() == client.get_mode(SUBJECT) == "READONLY"


def test_the_client_understands_what_is_refused(client: SchemaRegistryClient) -> None:
    """Its error has the code and the message."""
    refused: dict[int, str] = {}
    for ask in (
        lambda: client.get_versions("none"),
        lambda: client.get_version(SUBJECT, 7),
        lambda: client.get_schema(4711),
        lambda: client.lookup_schema(SUBJECT, Schema("{", "AVRO")),
        lambda: client.get_version(SUBJECT, 0),
        lambda: client.register_schema(SUBJECT, Schema('"string"', "AVRO")),
    ):
        with pytest.raises(SchemaRegistryError) as raised:
            ask()
        refused[raised.value.error_code] = raised.value.error_message

    assert [*refused] == [40401, 40402, 40403, 42201, 42202, 42205]
    assert "python -m schemas add" in refused[42205]


@pytest.mark.parametrize(
    "settings", [{}, {"auto.register.schemas": False}, {"use.latest.version": True}], ids=str
)
def test_the_serializer_writes_what_we_read(
    sent: Sent, client: SchemaRegistryClient, settings: dict[str, bool]
) -> None:
    """Another producer with Confluent's serializer: its value has our id, and is readable."""
    release = CATALOG.by_schema_id("Event_PushNotificationDisabled_5_0_0")
    assert release
    event = next(event for event in sent.events if b"PushNotificationDisabled" in event)
    given = {"subject.name.strategy": topic_record_subject_name_strategy} | settings
    if "use.latest.version" in settings:
        given["auto.register.schemas"] = False
    encode = AvroSerializer(client, release.text, conf=given)
    record = AvroDeserializer(client)
    value = encode(_event(release.schema, json.loads(event)), CONTEXT)

    assert value
    assert wire.wire_id_of(value) == release.wire_id
    assert record(value, CONTEXT)["event_id"] == json.loads(event)["event_id"]


def _event(schema: Any, event: dict[str, Any]) -> dict[str, Any]:
    blank = {field["name"]: field.get("default") for field in schema["fields"]}
    return {name: event.get(name, blank[name]) for name in blank} | {"received_at": event["timestamp"]}
