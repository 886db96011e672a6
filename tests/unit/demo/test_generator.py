"""The generator's events: reproducible, and as in Tapcart's documentation."""

import hashlib
import json
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest

from deploy.demo.generator import Plan, Post, generate
from deploy.demo.samples import samples
from ingest.http.receive import Accepted, Receiver
from schemas.catalog.catalog import Catalog
from tests.analytics.posted import rows
from tests.analytics.purchases import orders
from tests.support.yardstick import cpu_seconds

DAY_MS = 86_400_000
START_MS = 20_700 * DAY_MS
PURCHASE = {"OrderCreated", "PurchaseCompleted"}
BLOCKS = {"device_properties", "shopify_properties", "session_properties", "app_properties"}
# In Tapcart's text, but in none of its examples.
SECOND_NAMES = {"variant_title", "cart_update_type", "cart_updated_source"}
CATALOG = Catalog.load()


def plan(**changes: Any) -> Plan:
    """Return a plan of two days."""
    return Plan(
        **{"start_ms": START_MS, "end_ms": START_MS + 2 * DAY_MS, "apps": 2, "events_per_day": 4000} | changes
    )


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """Two days of two apps."""
    return list(generate(plan()))


@pytest.fixture(scope="module")
def events(posts: list[Post]) -> list[dict[str, Any]]:
    """Events of whole sessions as documented: no duplicates, no drift, nothing broken."""
    drifted = {json.loads(post.body).get("session_id") for post in posts if post.kind == "drift"}
    found = [json.loads(post.body) for post in posts if post.kind == "event"]
    return [event for event in found if event.get("session_id") not in drifted]


def digest(wanted: Plan) -> str:
    """Return the hash of all bodies."""
    return hashlib.sha256(b"\n".join(post.body for post in generate(wanted))).hexdigest()


def test_a_seed_means_the_same_bytes_in_every_process() -> None:
    """Also with another hash seed of Python; another seed gives other events."""
    code = (
        "import sys; sys.path.insert(0, 'tests/unit/demo'); import test_generator as t;"
        "print(t.digest(t.plan(events_per_day=300)))"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": "."},
        capture_output=True,
        check=True,
    )

    assert elsewhere.stdout.decode().strip() == digest(plan(events_per_day=300))
    assert digest(plan(events_per_day=300, seed=2)) != digest(plan(events_per_day=300))


def test_a_longer_period_only_adds(posts: list[Post]) -> None:
    """A shorter plan's posts are repeated byte by byte: running the demo twice duplicates nothing."""
    one_day = list(generate(plan(end_ms=START_MS + DAY_MS)))
    last_day = list(generate(plan(start_ms=START_MS + DAY_MS)))

    assert one_day == posts[: len(one_day)]
    assert {post.body for post in last_day} <= {post.body for post in posts}


def test_posts_come_in_the_order_of_sending(posts: list[Post]) -> None:
    """And none after the end of the plan."""
    assert all(one.sent_at_ms <= next_.sent_at_ms for one, next_ in pairwise(posts))
    assert posts[-1].sent_at_ms < START_MS + 2 * DAY_MS


def test_about_as_many_events_as_asked_for(posts: list[Post]) -> None:
    """A day's number is near the plan's."""
    assert 6000 < len(posts) < 10_000


def test_every_app_is_recognized_as_invented(posts: list[Post]) -> None:
    """They cannot be mistaken for a merchant's."""
    assert {post.app_id.partition("-")[0] for post in posts} == {"demo"}


def test_a_duplicate_is_the_same_bytes_within_five_minutes(posts: list[Post]) -> None:
    """Like Tapcart's retries of unanswered events."""
    first = {post.body: post for post in posts if post.kind in ("event", "drift")}
    duplicates = [post for post in posts if post.kind == "duplicate"]

    assert len(duplicates) > 20
    for post in duplicates:
        assert 0 < post.sent_at_ms - first[post.body].sent_at_ms <= 300_000


def test_every_event_has_an_id_of_its_own(posts: list[Post]) -> None:
    """Only duplicates repeat an id."""
    ids = [post.event_id for post in posts if post.kind in ("event", "drift")]

    assert len(ids) == len(set(ids))


def test_ingest_answers_as_the_post_expects(posts: list[Post]) -> None:
    """For every valid, drifted and broken body, by ingest's own rules."""
    receiver = Receiver(CATALOG)
    now_ms = START_MS + 2 * DAY_MS
    answers = [receiver.receive(post.body, {}, now_ms) for post in posts]
    statuses = [200 if isinstance(answer, Accepted) else answer.status for answer in answers]

    assert statuses == [post.status for post in posts]
    assert Counter(post.kind for post in posts)["broken"] > 10
    assert {400, 422} <= set(statuses)


def test_documented_events_fit_their_schema(posts: list[Post]) -> None:
    """Nothing is odd or unknown, except in drifted events."""
    receiver = Receiver(CATALOG)
    for post in posts:
        if post.kind == "event":
            answer = receiver.receive(post.body, {}, START_MS + 2 * DAY_MS)

            assert isinstance(answer, Accepted)
            assert (answer.odd, answer.unknown) == ((), 0), post.body


def test_every_type_has_exactly_its_documented_fields(events: list[dict[str, Any]]) -> None:
    """All 14 types occur, each with the fields of its newest schema, except second names from the text."""
    sent = {event["event_type"]: set(event["event_properties"]) for event in events}
    documented = {
        release.name: {
            field["name"]
            for block in release.schema["fields"]
            if block["name"] == "event_properties"
            for field in block["type"]["fields"]
            if field["name"] not in SECOND_NAMES
        }
        for release in CATALOG.newest_releases()
        if release.family == "mobile"
    }

    assert sent == documented
    assert len(sent) == 14


def test_only_purchases_come_without_blocks(events: list[dict[str, Any]]) -> None:
    """PurchaseCompleted comes from the shop's server: no device, no session."""
    for event in events:
        expected = set() if event["event_type"] == "PurchaseCompleted" else BLOCKS

        assert event.keys() & BLOCKS == expected


def test_a_first_launch_is_three_events(events: list[dict[str, Any]]) -> None:
    """AppInstalled comes with AppOpened and SessionStarted, once per device."""
    sessions = by_session(events)
    installs = [types for types in sessions.values() if "AppInstalled" in types]

    assert installs
    for types in installs:
        assert [name for name in types if name != "PushNotificationReceived"][:3] == [
            "AppInstalled",
            "AppOpened",
            "SessionStarted",
        ]
    devices = [event["device_id"] for event in events if event["event_type"] == "AppInstalled"]
    assert len(devices) == len(set(devices))


def test_an_add_is_two_events(events: list[dict[str, Any]]) -> None:
    """AddedToCart is followed by CartUpdated of the same variant."""
    seen = 0
    for one, next_ in pairwise(in_sessions(events)):
        if one["event_type"] == "AddedToCart" and one["session_id"] == next_["session_id"]:
            seen += 1

            assert next_["event_type"] == "CartUpdated"
            assert next_["event_properties"]["variant_id"] == one["event_properties"]["variant_id"]
    assert seen > 20


def test_the_events_of_a_purchase_agree_on_its_total(events: list[dict[str, Any]]) -> None:
    """In each session, for any ids: the amount paid equals the amount ordered."""
    totals: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for event in events:
        if event["event_type"] in PURCHASE and event.get("session_id"):
            totals[event["session_id"]][event["event_type"]][event["event_properties"]["total_price"]] += 1
    both = [found for found in totals.values() if len(found) == 2]

    assert len(both) > 20
    assert all(found["PurchaseCompleted"] <= found["OrderCreated"] for found in both)


def test_a_purchase_is_named_in_two_ways(posts: list[Post]) -> None:
    """As in Tapcart's examples: each way to match the two events of an order occurs, and none too."""
    sent = rows(post.body for post in posts if post.status == 200 and post.event_type in PURCHASE)
    matched_by = Counter(order.matched_by for order in orders(sent.iter_rows(named=True)))

    assert set(matched_by) == {"checkout_id", "device", "session", "shopper", "none"}
    assert matched_by["device"] > sum(matched_by.values()) / 3
    assert "debug" in set(sent["environment"])


def test_the_server_knows_not_every_device(events: list[dict[str, Any]]) -> None:
    """PurchaseCompleted comes with both ids, one, or none: left out, null or empty."""
    paid = [event for event in events if event["event_type"] == "PurchaseCompleted"]
    known = Counter((bool(event.get("device_id")), bool(event.get("session_id"))) for event in paid)

    assert len(known) == 4
    assert known[True, True] > len(paid) / 2


def test_shoppers_come_back(events: list[dict[str, Any]]) -> None:
    """Retention can be computed: a device of the first day is seen again on the second."""
    days = defaultdict(set)
    for event in events:
        days[event.get("device_id")].add(event["timestamp"] // DAY_MS)

    assert sum(len(seen) > 1 for seen in days.values()) > 5


def test_it_is_fast() -> None:
    """At least 10,000 posts per second (usually 70,000), so that a month is quick."""
    counts: list[int] = []
    seconds = cpu_seconds(lambda: counts.append(sum(1 for _ in generate(plan(events_per_day=10_000)))))

    assert counts[0] / seconds > 10_000


def test_the_samples_are_the_documented_types() -> None:
    """One each, by the event's own name."""
    types = [post.event_type for post in samples()]

    assert sorted(types) == sorted(r.name for r in CATALOG.newest_releases() if r.family == "mobile")


def in_sessions(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events of each session in order of time, without purchases, which have another clock."""
    own = [event for event in events if event["event_type"] != "PurchaseCompleted"]
    return sorted(own, key=lambda event: (event["session_id"], event["timestamp"]))


def by_session(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Return session id -> event types by time."""
    found: dict[str, list[str]] = defaultdict(list)
    for event in in_sessions(events):
        found[event["session_id"]].append(event["event_type"])
    return found
