"""The naive receiver: FastAPI, fastavro, a flush per request; the argument `validate` checks each event."""

import sys
from typing import Any

from confluent_kafka import Producer
from fastapi import FastAPI, HTTPException

from tests.bench.receivers.avro import encoded, is_valid
from tests.bench.receivers.futures import PROPERTIES
from tests.bench.receivers.serve import SERVERS, TOPIC, serve

app = FastAPI()
producer = Producer(PROPERTIES | {"bootstrap.servers": SERVERS})
validates = "validate" in sys.argv[1:]


@app.post("/")
async def receive(event: dict[str, Any]) -> dict[str, str]:
    """Answer one request, once Kafka has everything."""
    if validates and not is_valid(event):
        raise HTTPException(422)
    producer.produce(TOPIC, encoded(event), event["app_id"])
    if producer.flush(10):
        raise HTTPException(500)
    return {"kept": "kafka"}


if __name__ == "__main__":
    serve(app)
