"""Rows of posted events -> the expected answer of each analytics view, by polars and by plain loops.

Written from the definitions in consumers/warehouse/analytics/README.md, not from the views' SQL. A frame has
the view's columns; amounts are whole ten-thousandths until `tests.analytics.compare` compares them.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import polars as pl

from tests.analytics import purchases
from tests.analytics.purchases import MATCH_MS, Order, bare

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
ORDER: dict[str, Any] = {
    "day": pl.Date,
    "app_id": pl.String,
    "checkout_id": pl.String,
    "order_id": pl.String,
    "device_id": pl.String,
    "session_id": pl.String,
    "ordered_at": pl.Int64,  # milliseconds
    "total": pl.Int64,
    "currency_code": pl.String,
    "environment": pl.String,
    "matched_by": pl.String,
    "product_ids": pl.List(pl.String),
}


def orders(events: pl.DataFrame, match_ms: int = MATCH_MS) -> pl.DataFrame:
    """Orders."""
    sent = events.filter(pl.col("type").is_in(["OrderCreated", "PurchaseCompleted"]))
    found = map(_order, purchases.orders(sent.iter_rows(named=True), match_ms))
    return pl.DataFrame([row for row in found if row], ORDER)


def _order(order: Order) -> dict[str, Any] | None:
    """Return the view's row; None for an order of an excluded environment."""
    rows, environment = order.rows, order.first("environment")
    # An event without an environment has its session's, or else its device's.
    telling = "environment" if environment else "session" if order.first("session") else "device"
    if any(row["left_out"] for row in [row for row in rows if row[telling]][:1]):
        return None
    paid = [row for row in rows if row["type"] == "PurchaseCompleted"]
    of_purchase_last = [*(row for row in rows if row not in paid), *paid]
    priced = max(reversed(of_purchase_last), key=lambda row: row["total"] is not None)
    named = [row for row in of_purchase_last if bare(row["checkout"])]
    return {
        "day": rows[0]["day"],
        "app_id": rows[0]["app"],
        "checkout_id": named[-1]["checkout"].strip() if named else "",
        "order_id": order.first("order"),
        "device_id": order.first("device"),
        "session_id": order.first("session"),
        "ordered_at": rows[0]["at"],
        "total": priced["total"],
        "currency_code": priced["currency"].strip().upper(),
        "environment": environment,
        "matched_by": order.matched_by,
        "product_ids": sorted({product for row in paid for product in row["products"] if product}),
    }


def revenue_daily(events: pl.DataFrame) -> pl.DataFrame:
    """Orders and revenue by day and currency."""
    total = pl.col("total")
    return (
        orders(events)
        .group_by("day", "app_id", "currency_code")
        .agg(
            orders=pl.len(),
            unmatched=(pl.col("matched_by") == "none").sum(),
            revenue=total.sum(),
            average_order_value=total.sum() // total.count(),
        )
    )


def sessions(events: pl.DataFrame) -> pl.DataFrame:
    """Sessions with their orders."""
    key = ["app", "session"]
    inside = _counted(events).filter(pl.col("session") != "")
    found = inside.group_by(key).agg(
        day=pl.col("day").min(),
        device=pl.col("device").filter(pl.col("device") != "").min().fill_null(""),
        environment=pl.col("environment").max(),
        started_at=pl.col("at").min(),
        ended_at=pl.col("at").max(),
        events=pl.len(),
    )
    names = ("source", "utm_source", "utm_medium", "utm_campaign", "notification_id")
    texts = inside.with_columns(pl.col("touch").list.get(i).alias(name) for i, name in enumerate(names))
    touched = texts.filter(pl.any_horizontal(pl.col(name) != "" for name in names))
    touch = touched.sort("at", *names).group_by(key).agg(pl.col(*names).first())
    paid = (
        orders(events)
        .filter(pl.col("session_id") != "")
        .sort("ordered_at", "checkout_id", "order_id", "currency_code")
    )
    paid = paid.with_columns(first=pl.col("currency_code").first().over("app_id", "session_id"))
    price = (
        paid.filter(pl.col("currency_code") == pl.col("first"))
        .group_by(app="app_id", session="session_id")
        .agg(pl.col("currency_code").first(), order_total=pl.col("total").sum(), converted=pl.lit(1))
    )
    return (
        found.join(touch, on=key, how="left")
        .join(price, on=key, how="left")
        .with_columns(pl.col(*names, "currency_code").fill_null(""), pl.col("converted").fill_null(0))
        .rename({"app": "app_id", "session": "session_id", "device": "device_id"})
    )


def active_devices_daily(events: pl.DataFrame) -> pl.DataFrame:
    """Every device is listed on each day that it counts for; then the devices are counted."""
    seen = _of_devices(events).select("app", "device", "day").unique()
    calendar = (
        seen.group_by("app")
        .agg(day=pl.date_range(pl.col("day").min(), pl.col("day").max()))
        .explode("day")
        .select("day", app_id="app")
    )

    def within(days: int) -> pl.DataFrame:
        later = pl.col("day") + pl.duration(days=pl.col("after"))
        spread = seen.join(pl.DataFrame({"after": range(days)}), how="cross").with_columns(day=later)
        return spread.group_by("day", app_id="app").agg(pl.col("device").n_unique())

    new = seen.group_by("app", "device").agg(pl.col("day").min())
    counts = {"dau": within(1), "wau": within(7), "mau": within(30)}
    counts["new_devices"] = new.group_by("day", app_id="app").agg(pl.col("device").n_unique())
    for name, frame in counts.items():
        calendar = calendar.join(frame.rename({"device": name}), on=["day", "app_id"], how="left")
    return calendar.with_columns(pl.col(*counts).fill_null(0))


def retention_weekly(events: pl.DataFrame) -> pl.DataFrame:
    """Cohorts by the week of a device's first event."""
    seen = _of_devices(events).select("app", "device", week=pl.col("day").dt.truncate("1w")).unique()
    seen = seen.with_columns(cohort_week=pl.col("week").min().over("app", "device"))
    size = seen.group_by("app", "cohort_week").agg(cohort_devices=pl.col("device").n_unique())
    return (
        seen.group_by("app", "cohort_week", "week")
        .agg(devices=pl.len())
        .join(size, on=["app", "cohort_week"])
        .with_columns(
            weeks_after=(pl.col("week") - pl.col("cohort_week")).dt.total_days() // 7,
            retained=pl.col("devices") / pl.col("cohort_devices"),
        )
        .rename({"app": "app_id"})
    )


def funnel_daily_by_source(events: pl.DataFrame) -> pl.DataFrame:
    """Step by step: for each step, the first moment that is not before the previous step's."""
    found = []
    moments: dict[tuple[object, str, str], list[tuple[int, str, str]]] = {}
    for app, day, device, kind, at, touch in (
        _of_devices(events).select("app", "day", "device", "type", "at", "touch").iter_rows()
    ):
        moments.setdefault((day, app, device), []).append((at, kind, touch[0]))
    steps = (
        ("ProductViewed",),
        ("AddedToCart",),
        ("CheckoutCreated",),
        ("OrderCreated", "PurchaseCompleted"),
    )
    for (day, app, _), happened in moments.items():
        opened = [(at, source) for at, kind, source in happened if kind == "AppOpened"]
        if not opened:
            continue
        reached, (now, source) = [1], min(opened)
        for step in steps:
            later = [at for at, kind, _ in happened if kind in step and at >= now]
            reached.append(int(bool(later) and reached[-1]))
            now = min(later, default=now)
        found.append((day, app, source, *reached))
    names = ["opened", "viewed", "added", "checkout", "ordered"]
    frame = pl.DataFrame(found, ["day", "app_id", "source", *names], orient="row")
    return frame.group_by("day", "app_id", "source").agg(pl.col(*names).sum())


def funnel_daily(events: pl.DataFrame) -> pl.DataFrame:
    """The funnel of all sources."""
    return funnel_daily_by_source(events).drop("source").group_by("day", "app_id").sum()


def product_performance(events: pl.DataFrame) -> pl.DataFrame:
    """Views, adds and purchases of products."""
    key = ["day", "app", "product"]
    named = _counted(events).filter(
        pl.col("product") != "", pl.col("type").is_in(["ProductViewed", "AddedToCart"])
    )
    looked = named.group_by(key).agg(
        product_title=pl.col("title").max(),
        views=(pl.col("type") == "ProductViewed").sum(),
        adds=(pl.col("type") == "AddedToCart").sum(),
    )
    bought = (
        orders(events)
        .select("day", app="app_id", product="product_ids")
        .explode("product")
        .drop_nulls("product")
        .group_by(key)
        .agg(purchases=pl.len())
    )
    whole = looked.join(bought, on=key, how="full", coalesce=True)
    whole = whole.with_columns(
        pl.col("views", "adds", "purchases").fill_null(0), pl.col("product_title").fill_null("")
    )
    views = pl.when(pl.col("views") > 0).then(pl.col("views"))
    return whole.with_columns(
        add_rate=pl.col("adds") / views, purchase_rate=pl.col("purchases") / views
    ).rename({"app": "app_id", "product": "product_id"})


def push_performance(events: pl.DataFrame) -> pl.DataFrame:
    """Devices that received a push, opened by it, ordered within a day."""
    key = ["day", "app", "device", "push"]
    received = (
        _of_devices(events)
        .filter(pl.col("type") == "PushNotificationReceived", pl.col("push") != "")
        .group_by(key)
        .agg(pl.col("at").min(), pl.col("push_title").max(), pl.col("push_type").max())
    )
    opens = _of_devices(events).filter(pl.col("type") == "AppOpened", pl.col("push") != "")
    opens = opens.select("app", "device", "push", then="at")
    buys = orders(events).select(app="app_id", device="device_id", then="ordered_at")
    day_after = pl.col("then") <= pl.col("at") + _DAY_MS

    def those(others: pl.DataFrame, on: list[str], before_ms: int, name: str) -> pl.DataFrame:
        inside = received.join(others, on=on).filter(pl.col("then") >= pl.col("at") - before_ms, day_after)
        return inside.select(*key, pl.lit(1).alias(name)).unique()

    for name, frame in (
        ("opened", those(opens, ["app", "device", "push"], 60_000, "opened")),
        ("converted", those(buys, ["app", "device"], 0, "converted")),
    ):
        received = received.join(frame, on=key, how="left").with_columns(pl.col(name).fill_null(0))
    return (
        received.group_by("day", app_id="app", notification_id="push")
        .agg(
            pl.col("opened", "converted").sum(),
            notification_title=pl.col("push_title").max(),
            notification_type=pl.col("push_type").max(),
            received=pl.len(),
        )
        .with_columns(
            open_rate=pl.col("opened") / pl.col("received"),
            conversion_rate=pl.col("converted") / pl.col("received"),
        )
    )


def attribution(events: pl.DataFrame) -> pl.DataFrame:
    """Each order under its device's first and last touch of the 30 days before."""
    names = ["utm_source", "utm_medium", "utm_campaign", "notification_id"]
    touches = sessions(events).filter(pl.any_horizontal(pl.col(name) != "" for name in names))
    touches = touches.filter(pl.col("device_id") != "")
    touches = touches.select("app_id", "device_id", "started_at", *names, touched_by="session_id")
    bought = orders(events).with_row_index("number")
    since = pl.col("ordered_at") - pl.col("started_at")
    touched = (
        bought.select("number", "app_id", "device_id", "ordered_at")
        .join(touches, on=["app_id", "device_id"])
        .filter(since >= 0, since <= 30 * _DAY_MS)
        .sort("started_at", *names, "touched_by")
        .group_by("number", maintain_order=True)
    )
    both = []
    for touch, found in (("first", touched.first()), ("last", touched.last())):
        named = bought.join(found.select("number", *names), on="number", how="left")
        both.append(named.with_columns(pl.col(*names).fill_null(""), touch=pl.lit(touch)))
    by = ["day", "app_id", "touch", *names, "currency_code"]
    return pl.concat(both).group_by(by).agg(orders=pl.len(), revenue=pl.col("total").sum())


def carts_abandoned(events: pl.DataFrame, hours: int = 24) -> pl.DataFrame:
    """Carts that their device abandoned."""
    found = []
    by_device: dict[tuple[str, str], list[tuple[int, str, tuple[Any, ...] | None]]] = {}
    changes = _of_devices(events).filter(pl.col("type").is_in(["AddedToCart", "CartUpdated"]))
    for row in changes.iter_rows(named=True):
        filled = row["type"] == "AddedToCart" or row["item_count"] != 0
        currency = row["cart_currency"].strip().upper()
        cart = (
            row["session"],
            row["items"],
            row["cart_total"],
            currency,
            row["environment"],
            row["day"],
        )
        by_device.setdefault((row["app"], row["device"]), []).append(
            (row["at"], row["id"], cart if filled else None)
        )
    for row in orders(events).iter_rows(named=True):
        by_device.setdefault((row["app_id"], row["device_id"]), []).append(
            (row["ordered_at"], row["checkout_id"], None)
        )
    for (app, device), happened in by_device.items():
        happened.sort(key=lambda one: one[:2])
        for (at, _, left), (next_at, *_) in pairwise([*happened, (1 << 60, "", None)]):
            if left and next_at > at + hours * _HOUR_MS:
                *of_cart, day = left
                found.append((day, app, device, at, *of_cart))
    names = [
        "day",
        "app_id",
        "device_id",
        "abandoned_at",
        "session_id",
        "items",
        "cart_total",
        "currency_code",
        "environment",
    ]
    return pl.DataFrame(found, names, orient="row", infer_schema_length=None)


def _counted(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events of environments that count."""
    return events.filter(~pl.col("left_out"))


def _of_devices(events: pl.DataFrame) -> pl.DataFrame:
    """Return those of them that name a device."""
    return _counted(events).filter(pl.col("device") != "")


VIEWS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "orders": orders,
    "revenue_daily": revenue_daily,
    "active_devices_daily": active_devices_daily,
    "retention_weekly": retention_weekly,
    "sessions": sessions,
    "funnel_daily_by_source": funnel_daily_by_source,
    "funnel_daily": funnel_daily,
    "product_performance": product_performance,
    "push_performance": push_performance,
    "attribution": attribution,
    "carts_abandoned": carts_abandoned,
    "carts_abandoned_after(hours = 2)": lambda events: carts_abandoned(events, 2),
}
