"""Passthrough: the body goes to Kafka unread, with one future per delivery report.

`batched`: with ingest's own producer, so only ingest's work on a body makes the difference.
"""

import asyncio
import sys

from starlette.types import Receive, Scope, Send

from ingest.delivery.producer import KafkaProducer
from ingest.delivery.record import OutgoingRecord
from tests.bench.receivers.futures import Futures
from tests.bench.receivers.serve import SERVERS, TOPIC, serve

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-length", b"2"), (b"content-type", b"text/plain")],
}
_BODY = {"type": "http.response.body", "body": b"ok"}


class Passthrough:
    """The application."""

    def __init__(self) -> None:
        self._producer: Futures | KafkaProducer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, once Kafka has its body."""
        if scope["type"] != "http":
            return
        if self._producer is None:  # made on the event loop
            batched = "batched" in sys.argv
            self._producer = KafkaProducer({"bootstrap.servers": SERVERS}) if batched else Futures(SERVERS)
        message = await receive()
        body = message["body"]
        while message.get("more_body", False):
            message = await receive()
            body += message["body"]
        await self._kept(self._producer, body)
        await send(_START)
        await send(_BODY)

    def _kept(self, producer: Futures | KafkaProducer, body: bytes) -> asyncio.Future[None]:
        # No key: it is in the body, which is not read.
        if isinstance(producer, KafkaProducer):
            return producer.produce(OutgoingRecord(TOPIC, b"", body, [], 0))
        return producer.send(TOPIC, body, "")


if __name__ == "__main__":
    serve(Passthrough())
