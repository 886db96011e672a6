"""A generated month -> the bodies to post: out of order, some twice, some days late; and their rows.

Invariant: rows come from the posted JSON, by rules of their own; nothing of the loader or the views is used.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
import polars as pl

from deploy.demo.generator import Plan, generate
from deploy.demo.samples import samples
from deploy.demo.shops import PREFIX
from tests.faults.harness.connection import Connection, request

_DAY_MS = 86_400_000
# Long past: a view does not change while it is compared.
_START_MS = 1_756_684_800_000  # 2025-09-01
_DAYS = 30
_AGAIN_SHARE, _LATE_SHARE = 0.05, 0.03
# Many: Kafka on one machine syncs once for all records in flight.
_CONNECTIONS = 128
_OK, _BUSY = 200, 500

SCHEMA: dict[str, Any] = {
    "type": pl.String,
    "id": pl.String,
    "app": pl.String,
    "device": pl.String,
    "session": pl.String,
    "at": pl.Int64,  # milliseconds
    "day": pl.Date,
    "touch": pl.List(pl.String),  # source, utm_source, utm_medium, utm_campaign, notification_id
    "product": pl.String,
    "title": pl.String,
    "push": pl.String,
    "push_title": pl.String,
    "push_type": pl.String,
    "checkout": pl.String,
    "order": pl.String,
    "total": pl.Int64,  # ten-thousandths; null: no number
    "currency": pl.String,
    "products": pl.List(pl.String),
    "items": pl.List(pl.String),
    "item_count": pl.Int64,
    "cart_total": pl.Int64,
    "cart_currency": pl.String,
    "shopper": pl.String,
    "environment": pl.String,
    "left_out": pl.Boolean,  # of an environment that no view counts
}


def bodies(events: int, prefix: str, apps: int = 3, seed: int = 1) -> list[bytes]:
    """Return the bodies of a month of about that many events; the apps' ids begin with `prefix`.

    The samples are among them, as events of an app that only its makers have.
    """
    plan = Plan(_START_MS, _START_MS + _DAYS * _DAY_MS, seed, apps, events / _DAYS)
    valid = [
        post.body.replace(f'"{PREFIX}'.encode(), f'"{prefix}'.encode())
        for post in generate(plan)
        if post.status == 200
    ]
    rng = Random(seed)
    late = {index for index in range(len(valid)) if rng.random() < _LATE_SHARE}
    again = [body for body in valid if rng.random() < _AGAIN_SHARE]
    of_makers = [
        post.body.replace(b"a7Kq2mXw9L", f"{prefix}samples".encode()).replace(b'"release"', b'"debug"')
        for post in samples()
    ]
    first = [body for index, body in enumerate(valid) if index not in late] + again + of_makers
    rng.shuffle(first)
    return first + [valid[index] for index in late]


def rows(posted: Iterable[bytes], zone: str = "UTC", excluded: Sequence[str] = ()) -> pl.DataFrame:
    """Return one row per event, by `SCHEMA`; events of the environments `excluded` are marked."""
    known = ZoneInfo(zone)
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for body in posted:
        event = msgspec.json.decode(body)
        key = (event["app_id"], event["event_type"], event["event_id"])
        if key not in found:
            found[key] = _row(event, known)
    events = list(found.values())
    theirs = {
        (event["app"], value)
        for event in events
        if event["environment"] in excluded
        for value in (event["session"], event["device"])
    }
    for event in events:
        of = (event["app"], event["session"] or event["device"])
        event["left_out"] = event["environment"] in excluded or (
            not event["environment"] and bool(of[1]) and of in theirs
        )
    return pl.DataFrame(events, SCHEMA)


def post(url: str, posted: Sequence[bytes]) -> None:
    """Post everything to an ingest URL as it answers. Raises: AssertionError unless it accepts all."""
    asyncio.run(_post(url, posted))


async def _post(url: str, posted: Sequence[bytes]) -> None:
    parts = urlsplit(url)
    queue = iter(posted)

    async def work() -> None:
        connection = Connection(parts.hostname or "", parts.port or 80)
        try:
            for body in queue:
                sent = request(parts.path, b"", body)
                # Like Tapcart: an event answered 500 is sent again.
                for pause in (0.5, 1, 2, 4, 8, 0):
                    status = await connection.post(sent, 60)
                    if status != _BUSY:
                        break
                    await asyncio.sleep(pause)
                if status != _OK:
                    raise AssertionError(f"{status} for {body!r}")
        finally:
            connection.close()

    await asyncio.gather(*(work() for _ in range(_CONNECTIONS)))


def _row(event: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    of = event.get("event_properties") or {}
    session = event.get("session_properties") or {}
    at_ms = event["timestamp"]
    texts = {name: of.get(sent) or "" for name, sent in _TEXTS.items()}
    shopper = of.get("purchase_shopify_user_id") or (event.get("shopify_properties") or {}).get(
        "shopify_user_id"
    )
    return texts | {
        "type": event["event_type"],
        "id": event["event_id"],
        "app": event["app_id"],
        "device": event.get("device_id") or "",
        "session": event.get("session_id") or "",
        "at": at_ms,
        "day": _day(at_ms, zone),
        "touch": [session.get(name) or "" for name in _TOUCH],
        "total": _scaled(of.get("total_price")),
        "products": of.get("product_ids") or [],
        "items": of.get("cart_total_items_list") or [],
        "item_count": int(of["cart_total_items"]) if of.get("cart_total_items") else None,
        "cart_total": _scaled(of.get("cart_total_price")),
        "shopper": shopper or "",
        "environment": (event.get("app_properties") or {}).get("environment") or "",
    }


_TOUCH = ("source", "utm_source", "utm_medium", "utm_campaign", "notification_id")
_TEXTS = {
    "product": "product_id",
    "title": "product_title",
    "push": "notification_id",
    "push_title": "notification_title",
    "push_type": "notification_type",
    "checkout": "checkout_id",
    "order": "order_id",
    "currency": "currency_code",
    "cart_currency": "multi_currency_code",
}


def _day(at_ms: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).date()


def _scaled(text: str | None) -> int | None:
    return None if not text else int(Decimal(text) * 10_000)
