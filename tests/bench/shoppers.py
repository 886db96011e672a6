"""Invented shoppers' events -> the topic: of some apps, types and days, with identities of their own.

Invariants: every event has an identity of its own. A device belongs to one app, so all have as many sessions.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import msgspec
from confluent_kafka import Producer

from deploy.demo.generator import Plan, generate
from runtime.kafka import topics
from tests.bench.dataset import DAY_MS, START_MS
from tests.support.warehouse import crc, decoded

_SAMPLE = 20_000
_FIRST_MS = START_MS + 90 * DAY_MS  # after the rows of `dataset`


def _one_day(_number: int, _count: int, _rng: random.Random) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Events:
    """Events of one case."""

    prefix: str  # of their event_id and app_id
    count: int
    apps: int = 1
    types: int = 14
    day: Callable[[int, int, random.Random], int] = _one_day  # of (number, count, random numbers)


def produce(kafka: str, events: Events, at_ms: int = 0) -> None:
    """Write events as ingest does; `at_ms`: when Kafka received them, else now."""
    producer = Producer(
        {
            "bootstrap.servers": kafka,
            "partitioner": topics.PARTITIONER,
            "linger.ms": 50,
            **topics.COMPRESSION,
            "queue.buffering.max.messages": 2 * events.count,
        }
    )
    for body in _bodies(events):
        event = decoded(body)
        value = event.encode(START_MS)
        producer.produce(topics.EVENTS, value, event.app_id.encode(), headers=[*crc(value)], timestamp=at_ms)
        producer.poll(0)
    assert producer.flush(120) == 0


def _bodies(events: Events) -> Iterator[bytes]:
    rng = random.Random(1)
    plan = Plan(START_MS, START_MS + DAY_MS, apps=1, events_per_day=_SAMPLE)
    sample = [msgspec.json.decode(post.body) for post in generate(plan) if post.kind == "event"]
    if events.types == 1:
        sample = [event for event in sample if event["event_type"] == "ProductViewed"]
    sample = [event for event in sample if START_MS <= event["timestamp"] < START_MS + DAY_MS]
    weights = [*accumulate(1 / rank for rank in range(1, events.apps + 1))]
    app_of: defaultdict[str, int] = defaultdict(
        lambda: rng.choices(range(events.apps), cum_weights=weights)[0]
    )
    for number in range(events.count):
        again, place = divmod(number, len(sample))
        event = sample[place]
        day = events.day(number, events.count, rng)
        # A purchase that the shop's server reports may have neither.
        people = {name: f"{event[name]}-{again}" for name in ("device_id", "session_id") if name in event}
        yield msgspec.json.encode(
            event
            | people
            | {
                "event_id": f"{events.prefix}{number}",
                "app_id": f"{events.prefix}{app_of[people.get('device_id', '')]}",
                "timestamp": event["timestamp"] - START_MS + _FIRST_MS + day * DAY_MS,
            }
        )
