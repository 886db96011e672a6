"""Seed and period -> the POSTs that Tapcart would send, in the order of sending.

Invariants: pure: the same plan gives the same bytes. Every UTC day of every app is a separate stream, so a
longer period only adds posts and repeats those of a shorter one byte by byte (posting them again changes no
view). `status` is the expected answer of ingest. Every valid event has its own event_id; a duplicate is the
same bytes again.
"""

from collections.abc import Iterator
from heapq import heappop, heappush, merge
from itertools import takewhile
from math import exp
from random import Random
from typing import Literal

from msgspec import Struct, json

from deploy.demo.envelopes import Envelopes, Event
from deploy.demo.faults import broken, drifted
from deploy.demo.journeys import Happening, Journey
from deploy.demo.shoppers import Visit, visits
from deploy.demo.shops import Shop, shop

_DAY_MS = 86_400_000
# Measured over a month of ten apps.
_EVENTS_PER_SESSION = 12.0

_OFFLINE_SHARE = 0.03
_RETRY_SHARE = 0.01
_DRIFT_SHARE = 0.003
_BROKEN_SHARE = 0.005

Kind = Literal["event", "duplicate", "drift", "broken"]


class Post(Struct, frozen=True, gc=False):
    """One request of Tapcart."""

    sent_at_ms: int
    body: bytes
    status: int  # expected answer: 200, 400, 422
    kind: Kind
    app_id: str
    event_type: str
    event_id: str  # "" when broken
    timestamp_ms: int  # the event's own time


class Plan(Struct, frozen=True):
    """The parameters of the invented events."""

    start_ms: int  # start of the first UTC day
    end_ms: int  # end of sending
    seed: int = 1
    apps: int = 3
    events_per_day: float = 2_000.0  # over all apps


def generate(plan: Plan) -> Iterator[Post]:
    """Yield the posts of the plan by `sent_at_ms`."""
    days = range(plan.start_ms // _DAY_MS, -(-plan.end_ms // _DAY_MS))
    weights = [1 / (number + 1) for number in range(plan.apps)]
    streams = [
        _app_day(plan.seed, shop(plan.seed, number), day, plan.events_per_day * weight / sum(weights))
        for number, weight in enumerate(weights)
        for day in days
    ]
    posts = merge(*streams, key=_when)
    return takewhile(lambda post: post.sent_at_ms < plan.end_ms, posts)


def _app_day(seed: int, at: Shop, day: int, events: float) -> Iterator[Post]:
    rng = Random(f"{seed}/posts/{at.app_id}/{day}")  # noqa: S311 - invented data
    waiting: list[tuple[int, int, Post]] = []
    number = 0
    for visit in visits(seed, at.app_id, day, events / _EVENTS_PER_SESSION):
        while waiting and waiting[0][0] <= visit.start_ms:
            yield heappop(waiting)[2]
        for post in _visit(rng, at, visit):
            number += 1
            heappush(waiting, (post.sent_at_ms, number, post))
    while waiting:
        yield heappop(waiting)[2]


def _visit(rng: Random, at: Shop, visit: Visit) -> Iterator[Post]:
    journey = Journey(rng, at, visit)
    envelopes = Envelopes(journey)
    # A phone without a network sends everything later: after a minute, or on the next day.
    offline_ms = round(60_000 * exp(rng.uniform(0, 7.5))) if rng.random() < _OFFLINE_SHARE else 0
    for happening in journey.events():
        at_ms = happening.at_ms + offline_ms + round(rng.expovariate(1 / 800))
        yield from _posts(rng, envelopes, happening, at_ms)


def _posts(rng: Random, envelopes: Envelopes, happening: Happening, at_ms: int) -> Iterator[Post]:
    event = envelopes.event(rng, happening)
    kind: Kind = "event"
    if rng.random() < _DRIFT_SHARE:
        kind = "drift"
        event = drifted(rng, event)
    post = _post(at_ms, json.encode(event), kind, event)
    yield post
    if rng.random() < _RETRY_SHARE:
        yield _again(post, at_ms + rng.randint(2_000, 280_000))
    if rng.random() < _BROKEN_SHARE:
        body, status = broken(rng, envelopes.event(rng, happening))
        yield Post(
            at_ms + 1, body, status, "broken", event["app_id"], event["event_type"], "", event["timestamp"]
        )


def _post(at_ms: int, body: bytes, kind: Kind, event: Event) -> Post:
    return Post(
        at_ms, body, 200, kind, event["app_id"], event["event_type"], event["event_id"], event["timestamp"]
    )


def _again(post: Post, at_ms: int) -> Post:
    return Post(
        at_ms, post.body, 200, "duplicate", post.app_id, post.event_type, post.event_id, post.timestamp_ms
    )


def _when(post: Post) -> int:
    return post.sent_at_ms
