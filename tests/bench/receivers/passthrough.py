"""Passthrough: the body goes to Kafka unread, by Tapline's own producer.

So delivery reports wake the event loop once per poll here too: what differs is what Tapline does with a body.
"""

from starlette.types import Receive, Scope, Send

from ingest.producer import KafkaProducer
from ingest.record import Record
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
        self._producer: KafkaProducer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, once Kafka has its body."""
        if scope["type"] != "http":
            return
        if self._producer is None:  # made on the event loop
            self._producer = KafkaProducer({"bootstrap.servers": SERVERS})
        message = await receive()
        body = message["body"]
        while message.get("more_body", False):
            message = await receive()
            body += message["body"]
        # No key: it is in the body, which nobody reads.
        await self._producer.produce(Record(TOPIC, b"", body, [], 0))
        await send(_START)
        await send(_BODY)


if __name__ == "__main__":
    serve(Passthrough())
