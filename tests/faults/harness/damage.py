"""Posts that bypass ingest -> valid and damaged records in our topics, like another producer's.

Invariants: a separate fsynced file has the expected result of each, and whether Kafka acknowledged it; no two
are alike. Source: docs/decisions/0016-loader.md and docs/decisions/0017-loader-errors.md.
"""

import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from runtime.kafka import record_headers, topics
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from schemas.codec.events import EventDecoder
from tests.faults.harness.posts import FOREIGN, Post, Posts

_ACKNOWLEDGE_SECONDS_MAX = 30.0
_UNKNOWN_ID = 9_999
# An Avro text of length -1: ClickHouse rejects it in any case, so bisecting must find it.
_NEGATIVE_LENGTH = b"\x01"
# Shares: an event without checksum, no value, damage in the quarantine topic; then the rest.
_SOUND, _EMPTY, _MISPLACED = 0.1, 0.1, 0.1

Damaged = tuple[bytes, bytes]  # a value that is not an event, and its header crc32; empty: none
Headers = list[tuple[str, str | bytes | None]]


class Foreign(msgspec.Struct, frozen=True, gc=False):
    """One record of another producer."""

    number: int  # of the post, if it is an event, else -1
    kept: bytes  # expected in the quarantine, if it is not an event
    acknowledged: bool


class Damage:
    """The other producer."""

    def __init__(self, path: Path, seed: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._posts = Posts(seed)
        self._decode = EventDecoder(Catalog.load()).decode
        self._catalog = Catalog.load()
        self._numbers = itertools.count(FOREIGN)
        self._lock = threading.Lock()

    def produce(self, servers: str, rng: Random, count: int) -> Callable[[], None]:
        """Produce `count` records; the returned function waits for the acknowledgements and records them."""
        producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "partitioner": topics.PARTITIONER,
                "message.timeout.ms": round(_ACKNOWLEDGE_SECONDS_MAX * 1000),
                "log_level": 0,
            }
        )
        errors: list[KafkaError | None] = [KafkaError(KafkaError._MSG_TIMED_OUT)] * count
        made = []
        for index in range(count):
            topic, foreign, value, headers = self._record(rng)
            made.append(foreign)

            def delivered(error: KafkaError | None, _: Message, index: int = index) -> None:
                errors[index] = error

            key = None if value is None else f"app-{index % 6}".encode()
            producer.produce(topic, value, key, headers=headers, on_delivery=delivered)
        producer.poll(0)

        def note() -> None:
            producer.flush(_ACKNOWLEDGE_SECONDS_MAX + 1)
            lines = [
                msgspec.structs.replace(foreign, acknowledged=error is None)
                for foreign, error in zip(made, errors, strict=True)
            ]
            with self._lock:
                os.write(self._descriptor, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
                os.fdatasync(self._descriptor)

        return note

    def _record(self, rng: Random) -> tuple[str, Foreign, bytes | None, Headers]:
        with self._lock:
            number = next(self._numbers)
        post = self._posts.post(number, good=True)
        value = self._value(post)
        choice = rng.random()
        if choice < _SOUND:
            return topics.EVENTS, Foreign(number, b"", acknowledged=False), value, []
        if choice < _SOUND + _EMPTY:
            return topics.EVENTS, Foreign(-1, b"", acknowledged=False), None, []
        if choice < _SOUND + _EMPTY + _MISPLACED:
            damaged, crc = _random(value, rng)
            return topics.QUARANTINE, Foreign(-1, damaged, acknowledged=False), damaged, []
        damaged, crc = rng.choice(_DAMAGES)(value, rng)
        headers: Headers = (
            [(record_headers.EVENT_ID, post.event_id.encode()), (record_headers.CRC32, crc)] if crc else []
        )
        return topics.EVENTS, Foreign(-1, damaged, acknowledged=False), damaged, headers

    def _value(self, post: Post) -> bytes:
        body = msgspec.json.encode(post.event)
        return self._decode(body, {}).encode(post.timestamp_ms)


def _flipped(value: bytes, rng: Random) -> Damaged:
    place = rng.randrange(wire.HEADER_BYTES, len(value))
    flipped = value[:place] + bytes([value[place] ^ (1 << rng.randrange(8))]) + value[place + 1 :]
    return flipped, wire.checksum(value)


def _cut(value: bytes, rng: Random) -> Damaged:
    place = rng.randrange(wire.HEADER_BYTES, len(value))
    return value[:place], rng.choice((b"", wire.checksum(value)))


def _lengthened(value: bytes, _: Random) -> Damaged:
    return value + b"\0", b""


def _random(value: bytes, rng: Random) -> Damaged:
    return rng.randbytes(rng.randrange(1, 400)) + value[-20:], b""


def _unknown(value: bytes, _: Random) -> Damaged:
    other = wire.prefix(_UNKNOWN_ID) + value[wire.HEADER_BYTES :]
    return other, wire.checksum(other)


def _poison(value: bytes, _: Random) -> Damaged:
    poison = value[: wire.HEADER_BYTES] + _NEGATIVE_LENGTH + value[wire.HEADER_BYTES :]
    return poison, wire.checksum(poison)


_DAMAGES: tuple[Callable[[bytes, Random], Damaged], ...] = (
    _flipped,
    _cut,
    _lengthened,
    _random,
    _unknown,
    _poison,
)


def foreign(path: Path) -> list[Foreign]:
    """Read a file of `Damage`."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Foreign) for line in lines]
