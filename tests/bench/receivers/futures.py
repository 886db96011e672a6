"""The usual way of delivery reports: each one wakes the event loop."""

import asyncio
import threading

from confluent_kafka import KafkaError, KafkaException, Message, Producer

PROPERTIES = {
    "acks": "all",
    "enable.idempotence": "true",
    "linger.ms": "0",
    "compression.type": "gzip",
    "compression.level": "1",
    "partitioner": "murmur2_random",
}


class Futures:
    """One future per record. `lingering`: a record waits 5 ms for others, as by librdkafka's default."""

    def __init__(self, servers: str, *, lingering: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        linger = {"linger.ms": "5"} if lingering else {}
        self._producer = Producer(PROPERTIES | linger | {"bootstrap.servers": servers})
        threading.Thread(target=self._poll, daemon=True).start()

    def send(self, topic: str, value: bytes, key: str) -> asyncio.Future[None]:
        """Return a future that is done when Kafka has the record."""
        done = self._loop.create_future()

        def report(error: KafkaError | None, _: Message) -> None:
            self._loop.call_soon_threadsafe(settle, error)

        def settle(error: KafkaError | None) -> None:
            if error:
                done.set_exception(KafkaException(error))
            else:
                done.set_result(None)

        self._producer.produce(topic, value, key, on_delivery=report)
        return done

    def _poll(self) -> None:
        while True:
            self._producer.poll(0.1)
