import json
import os

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

registry = os.environ.get("REGISTRY", "http://127.0.0.1:8083/registry")
decode = AvroDeserializer(SchemaRegistryClient({"url": registry}))
consumer = Consumer(
    {
        "bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"),
        "group.id": "my-confluent-consumer",
        "auto.offset.reset": "earliest",
    }
)
consumer.subscribe(["tapcart.events"])
while True:
    message = consumer.poll(1.0)
    if message is None:
        continue
    if message.error():
        raise SystemExit(message.error())
    value = message.value()
    if value and value[0] == 0:
        event = decode(value, SerializationContext("tapcart.events", MessageField.VALUE))
        print(json.dumps(event, default=str), flush=True)
