"""One purchase is one order, whatever ids its two events have; each expected result was derived by hand."""

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.support.process import SAMPLES
from tests.support.stack import Stack
from tests.support.warehouse import Tables
from tests.support.web import WEB

# A day of its own, at noon UTC.
NOON_MS = 1_789_992_000_000
MINUTE_MS = 60_000
TOKEN, OTHER_TOKEN = "5f2a90c47be14d0d8a6613c9e07b42fd", "e34695d179443dabae88bb518c7d283c"

Event = dict[str, Any]


def _event(name: str, at_minute: float, of: Event, changes: Event) -> Event:
    sent: Event = json.loads((SAMPLES / f"{name}.json").read_text())
    sent["event_properties"] |= of
    return (
        sent | {"event_id": str(uuid.uuid4()), "timestamp": NOON_MS + round(at_minute * MINUTE_MS)} | changes
    )


def ordered(at_minute: float, checkout_id: str | None, order_id: str | None = "o", **changes: Any) -> Event:
    """Return an OrderCreated of 10.00 by a guest."""
    of = {"checkout_id": checkout_id, "order_id": order_id, "total_price": "10.00"}
    guest = {"shopify_properties": {"shopify_user_id": None, "logged_in": False}}
    return _event("OrderCreated", at_minute, of, guest | changes)


def paid(at_minute: float, checkout_id: str | None, total: str | None = "20.00", **changes: Any) -> Event:
    """Return a guest's PurchaseCompleted; `of` in the changes changes its event_properties."""
    of = {"checkout_id": checkout_id, "total_price": total, "purchase_shopify_user_id": None}
    return _event("PurchaseCompleted", at_minute, of | changes.pop("of", {}), changes)


NOBODY: Event = {"device_id": None, "session_id": None}
LOGGED_IN: Event = {"shopify_properties": {"shopify_user_id": "712", "logged_in": True}}


@dataclass(frozen=True)
class Case:
    """Events of one app, and its orders: (order_id, total, matched_by) by time."""

    name: str
    events: list[Event]
    orders: list[list[Any]]
    app: str = field(default_factory=lambda: f"orders-{uuid.uuid4().hex[:12]}")


CASES = [
    Case(
        "a number and its gid form, days apart and of two devices",
        [ordered(0, "123"), paid(9000, "gid://shopify/Checkout/123?key=9f", **NOBODY)],
        [["o", "20", "checkout_id"]],
    ),
    Case(
        "a token in small and capital letters, blanks around it",
        [ordered(0, f" {TOKEN} "), paid(90, TOKEN.upper(), **NOBODY)],
        [["o", "20", "checkout_id"]],
    ),
    Case("two numbers", [ordered(0, "123"), paid(1, "124")], [["o", "10", "none"], ["", "20", "none"]]),
    Case("a device", [ordered(0, "1"), paid(1, TOKEN, session_id=None)], [["o", "20", "device"]]),
    Case("a session", [ordered(0, "1"), paid(1, TOKEN, device_id="")], [["o", "20", "session"]]),
    Case(
        "a shopper, as a number and as its gid form",
        [
            ordered(0, "1", **LOGGED_IN),
            paid(1, TOKEN, of={"purchase_shopify_user_id": "gid://shopify/Customer/712"}, **NOBODY),
        ],
        [["o", "20", "shopper"]],
    ),
    Case(
        "nobody known on both sides is nobody in common",
        [ordered(0, "1", device_id="", session_id=""), paid(1, TOKEN, device_id="", session_id=None)],
        [["o", "10", "none"], ["", "20", "none"]],
    ),
    Case("thirty minutes", [paid(0, TOKEN), ordered(30, "1")], [["o", "20", "device"]]),
    Case(
        "a millisecond more than thirty minutes",
        [ordered(0, "1"), paid(30 + 1 / MINUTE_MS, TOKEN)],
        [["o", "10", "none"], ["", "20", "none"]],
    ),
    Case(
        "the nearest first",
        [ordered(0, "1", "a"), ordered(10, "2", "b"), paid(11, TOKEN, "5"), paid(12, OTHER_TOKEN, "6")],
        [["a", "6", "device"], ["b", "5", "device"]],
    ),
    Case(
        "the nearest first, also side by side",
        [ordered(0, "1", "a"), ordered(10, "2", "b"), paid(1, TOKEN, "5"), paid(5, OTHER_TOKEN, "6")],
        [["a", "5", "device"], ["b", "6", "device"]],
    ),
    Case(
        "of two that are equally near the earlier",
        [ordered(10, "1"), paid(5, TOKEN, "5"), paid(15, OTHER_TOKEN, "6")],
        [["o", "5", "device"], ["", "6", "none"]],
    ),
    Case(
        "each once",
        [ordered(0, "1"), paid(1, TOKEN, "5"), paid(2, OTHER_TOKEN, "6")],
        [["o", "5", "device"], ["", "6", "none"]],
    ),
    Case(
        "what has its twin by checkout_id takes no other",
        [ordered(0, "1"), paid(1, "1", "5"), paid(2, TOKEN, "6"), ordered(3, TOKEN, "p")],
        [["o", "5", "checkout_id"], ["p", "6", "checkout_id"]],
    ),
    Case(
        "the device before the session, however near",
        [
            ordered(0, "1", **LOGGED_IN),
            paid(1, TOKEN, "5", device_id=None),
            paid(20, OTHER_TOKEN, "6", session_id=None),
        ],
        [["o", "6", "device"], ["", "5", "none"]],
    ),
    Case(
        "one checkout reported twice by the app",
        [ordered(0, "1", ""), ordered(9, "1", "o"), paid(20, TOKEN)],
        [["o", "20", "device"]],
    ),
    Case(
        "no checkout_id: known by order_id, else by event_id, and never matched",
        [
            ordered(0, None, "a"),
            ordered(1, "", " a"),
            ordered(2, None, None),
            ordered(3, None, None),
            paid(4, None, "5"),
            paid(5, TOKEN, "6"),
        ],
        [["a", "10", "none"], *[["", "10", "none"]] * 2, ["", "5", "none"], ["", "6", "none"]],
    ),
    Case(
        "a total that is no number is passed over",
        [ordered(0, "1"), paid(1, TOKEN, "free")],
        [["o", "10", "device"]],
    ),
    Case(
        "more than a hundred without a gap are of no one's device",
        [
            event
            for minute in range(60)
            for event in (
                ordered(minute, f"{minute}", session_id=None),
                paid(minute + 0.1, f"{minute:x}{TOKEN}", session_id=None),
            )
        ],
        [["o", "10", "none"], ["", "20", "none"]] * 60,
    ),
]


@pytest.fixture(scope="module")
def orders(stack: Stack) -> Tables:
    """All cases, posted; each also reversed and twice, under another app."""
    count = 0
    with httpx.Client() as client:
        for case in CASES:
            for app, events in (
                (case.app, case.events),
                (f"{case.app}-r", [*case.events, *case.events][::-1]),
            ):
                count += len(case.events)
                for event in events:
                    body = json.dumps(event | {"app_id": app})
                    assert client.post(stack.ingest_url, content=body).status_code == 200
    tables = Tables(stack.clickhouse_url)
    tables.wait("SELECT count() FROM tapcart.events WHERE startsWith(app_id, 'orders-')", count, 60)
    return tables


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_orders_are_purchases(orders: Tables, case: Case) -> None:
    """In any order of events, with any duplicates."""
    for app in (case.app, f"{case.app}-r"):
        sql = "SELECT trimBoth(order_id), toString(total), matched_by FROM tapcart.orders"

        assert orders.rows(f"{sql} WHERE app_id = '{app}' ORDER BY ordered_at, total") == case.orders


def test_the_samples_are_one_order(stack: Stack) -> None:
    """The two events of the samples: one purchase of 97.50, in every view that counts it."""
    app = f"samples-{uuid.uuid4().hex[:12]}"
    for name in ("AppOpened", "OrderCreated", "PurchaseCompleted"):
        sent = json.loads((SAMPLES / f"{name}.json").read_text())
        assert WEB.post(stack.ingest_url, json=sent | {"app_id": app}).status_code == 200
    tables = Tables(stack.clickhouse_url)
    tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", 3)
    answers = {
        "toString(total), currency_code, environment, matched_by, checkout_id FROM tapcart.orders": [
            ["97.5", "USD", "release", "device", TOKEN]
        ],
        "orders, toString(revenue), toString(average_order_value) FROM tapcart.revenue_daily": [
            [1, "97.5", "97.5"]
        ],
        "touch, orders, toString(revenue) FROM tapcart.attribution": [
            ["first", 1, "97.5"],
            ["last", 1, "97.5"],
        ],
        "product_id, purchases FROM tapcart.product_performance": [
            ["7740011223344", 1],
            ["7740011998877", 1],
        ],
        "sum(converted), toString(sum(order_total)) FROM tapcart.sessions": [[1, "97.5"]],
    }

    for sql, answer in answers.items():
        assert tables.rows(f"SELECT {sql} WHERE app_id = '{app}' ORDER BY 1") == answer, sql


def test_currency_codes_are_one_however_they_are_written(stack: Stack) -> None:
    """Blanks around them and lower case make no other currency."""
    app = f"currency-{uuid.uuid4().hex[:12]}"
    for minute, code in enumerate(("USD", " usd", "Usd\t", "EUR")):
        sent = paid(minute, f"{minute}", of={"currency_code": code}, app_id=app)
        assert WEB.post(stack.ingest_url, json=sent).status_code == 200
    tables = Tables(stack.clickhouse_url)
    tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", 4)
    sql = "SELECT currency_code, orders, toString(revenue) FROM tapcart.revenue_daily"

    assert tables.rows(f"{sql} WHERE app_id = '{app}' ORDER BY 1") == [["EUR", 1, "20"], ["USD", 3, "60"]]
