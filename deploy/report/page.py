"""A week's numbers and plots -> one self-contained HTML file. Pure.

Invariant: everything from an event is escaped; there is no script, and nothing is fetched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from markupsafe import Markup

from deploy.report import plots
from deploy.report.week import Week
from runtime import html
from runtime.printable import printable

_TEMPLATE = html.template(Path(__file__).with_name("page.html.jinja"), printable)
_STYLE = Markup(Path(__file__).with_name("report.css").read_text())  # noqa: S704 - ours

Cells = Sequence[Sequence[str]]

_MATCHED_BY = {
    "checkout_id": "the checkout",
    "device": "the device",
    "session": "the session",
    "shopper": "the shopper",
    "none": "only one of the two arrived",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One number."""

    name: str
    value: str
    below: str


@dataclass(frozen=True, slots=True)
class PlotCard:
    """One plot."""

    title: str
    words: str
    svg: Markup  # what follows `<svg `


@dataclass(frozen=True, slots=True)
class TableCard:
    """One table."""

    title: str
    head: Sequence[str]
    rows: Cells
    svg: None = None


def page(week: Week) -> str:
    """Return the document."""
    rows = week.rows
    cards: list[PlotCard | TableCard] = [
        PlotCard("Active devices", "By day; new devices are shown separately.", _drawn(plots.devices(week))),
        PlotCard("Sessions by source", "By source, as reported by the app.", _drawn(plots.sessions(week))),
        PlotCard(
            "From opening to order",
            "Devices that reached each step in order within a day, all days.",
            _drawn(plots.funnel(week)),
        ),
        PlotCard(
            "Revenue by day", "By currency; currencies are not added together.", _drawn(plots.revenue(week))
        ),
        TableCard(
            "Revenue",
            ("Currency", "Orders", "Revenue", "Average order", "On week before"),
            _money(rows["money"]),
        ),
        TableCard(
            "Orders by their two events",
            ("What the two have in common", "Orders"),
            _matches(rows["matches"]),
        ),
        TableCard(
            "Products",
            ("Product", "Views", "Adds", "Purchases", "Views that add"),
            _products(rows["products"]),
        ),
        TableCard("Push", ("Notification", "Received", "Opened", "Ordered in 24 h"), _plain(rows["pushes"])),
        TableCard("Orders by touch", ("First or last touch", "First", "Last"), _plain(rows["touches"])),
        TableCard("Abandoned carts", ("Currency", "Carts", "Left in them"), _carts(rows["carts"])),
        PlotCard("Retention", "Share of a week's new devices that returned.", _drawn(plots.retention(week))),
    ]
    return _TEMPLATE.render(week=week, style=_STYLE, tiles=_tiles(week), cards=cards)


def _tiles(week: Week) -> list[Tile]:
    rows = week.rows
    devices = max((row[3] for row in rows["devices"]), default=0)
    new = sum(row[2] for row in rows["devices"])
    sessions, converted = sum(row[2] for row in rows["sessions"]), sum(row[3] for row in rows["sessions"])
    devices_before, new_before = (int(value or 0) for value in rows["devices_before"][0])
    sessions_before, converted_before = (int(value or 0) for value in rows["sessions_before"][0])
    return [
        Tile("Active devices", f"{devices:,}", _change(devices, devices_before)),
        Tile("New devices", f"{new:,}", _change(new, new_before)),
        Tile("Sessions", f"{sessions:,}", _change(sessions, sessions_before)),
        Tile(
            "Sessions that order",
            f"{converted / sessions:.1%}" if sessions else "0%",
            f"{converted_before / sessions_before:.1%} the week before"
            if sessions_before
            else "no week before",
        ),
        Tile("Orders", f"{sum(int(row[1]) for row in rows['money']):,}", "all currencies"),
    ]


def _drawn(svg: str) -> Markup:
    """Return a plot without its `<svg `: the template adds attributes there. Matplotlib escapes texts."""
    return Markup(svg.removeprefix("<svg "))  # noqa: S704 - made by `plots`


def _money(rows: Sequence[Sequence[Any]]) -> Cells:
    return [
        (
            currency or "unknown",
            f"{int(orders):,}",
            _amount(now),
            _amount(average),
            _change(Decimal(now), Decimal(before)).partition(" on ")[0],
        )
        for currency, orders, now, average, before in rows
    ]


def _matches(rows: Sequence[Sequence[Any]]) -> Cells:
    return [(_MATCHED_BY.get(matched_by, matched_by), f"{int(orders):,}") for matched_by, orders in rows]


def _products(rows: Sequence[Sequence[Any]]) -> Cells:
    return [
        (
            title or "untitled",
            f"{int(views):,}",
            f"{int(adds):,}",
            f"{int(bought):,}",
            f"{int(adds) / int(views):.1%}" if int(views) else "",
        )
        for title, views, adds, bought in rows
    ]


def _carts(rows: Sequence[Sequence[Any]]) -> Cells:
    return [(currency or "unknown", f"{int(count):,}", _amount(total)) for currency, count, total in rows]


def _plain(rows: Sequence[Sequence[Any]]) -> Cells:
    return [(str(name) or "untitled", *(f"{int(count):,}" for count in counts)) for name, *counts in rows]


def _amount(text: str | None) -> str:
    return f"{Decimal(text or 0):,.2f}"


def _change(now: int | Decimal, before: int | Decimal) -> str:
    return f"{(now - before) / before:+.0%} on the week before" if before else "no week before"
