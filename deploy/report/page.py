"""A week's numbers and plots -> one self-contained HTML file. Pure.

Invariant: everything from an event is escaped; there is no script, and nothing is fetched.
"""

from collections.abc import Sequence
from decimal import Decimal
from html import escape as html_escape
from pathlib import Path
from typing import Any

from deploy.report import plots
from deploy.report.week import Week
from runtime.printable import printable

_STYLE = Path(__file__).with_name("report.css").read_text()

Cells = Sequence[Sequence[str]]

_MATCHED_BY = {
    "checkout_id": "the checkout",
    "device": "the device",
    "session": "the session",
    "shopper": "the shopper",
    "none": "only one of the two arrived",
}


def page(week: Week) -> str:
    """Return the document."""
    title = f"{week.app}: {week.monday:%d %B} to {week.sunday:%d %B %Y}"
    rows = week.rows
    cards = [
        _plot("Active devices", "By day; new devices are shown separately.", plots.devices(week)),
        _plot("Sessions by source", "By source, as reported by the app.", plots.sessions(week)),
        _plot(
            "From opening to order",
            "Devices that reached each step in order within a day, all days.",
            plots.funnel(week),
        ),
        _plot("Revenue by day", "By currency; currencies are not added together.", plots.revenue(week)),
        _table(
            "Revenue",
            ("Currency", "Orders", "Revenue", "Average order", "On week before"),
            _money(rows["money"]),
        ),
        _table(
            "Orders by their two events",
            ("What the two have in common", "Orders"),
            _matches(rows["matches"]),
        ),
        _table(
            "Products",
            ("Product", "Views", "Adds", "Purchases", "Views that add"),
            _products(rows["products"]),
        ),
        _table("Push", ("Notification", "Received", "Opened", "Ordered in 24 h"), _plain(rows["pushes"])),
        _table("Orders by touch", ("First or last touch", "First", "Last"), _plain(rows["touches"])),
        _table("Abandoned carts", ("Currency", "Carts", "Left in them"), _carts(rows["carts"])),
        _plot("Retention", "Share of a week's new devices that returned.", plots.retention(week)),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header>\n<h1>{_text(week.app)}</h1>\n"
        f"<p>Week from Monday {week.monday:%d %B} to Sunday {week.sunday:%d %B %Y}</p>\n</header>\n"
        f'<div class="tiles">{"".join(_tiles(week))}</div>\n<div class="cards">\n{"".join(cards)}</div>\n'
        "<footer>Made by Tapline from the views active_devices_daily, sessions, funnel_daily, revenue_daily,"
        " orders, product_performance, push_performance, attribution, carts_abandoned,"
        " retention_weekly.</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def _text(given: str) -> str:
    return html_escape(printable(given))


def _tiles(week: Week) -> list[str]:
    rows = week.rows
    devices = max((row[3] for row in rows["devices"]), default=0)
    new = sum(row[2] for row in rows["devices"])
    sessions, converted = sum(row[2] for row in rows["sessions"]), sum(row[3] for row in rows["sessions"])
    devices_before, new_before = (int(value or 0) for value in rows["devices_before"][0])
    sessions_before, converted_before = (int(value or 0) for value in rows["sessions_before"][0])
    return [
        _tile("Active devices", f"{devices:,}", _change(devices, devices_before)),
        _tile("New devices", f"{new:,}", _change(new, new_before)),
        _tile("Sessions", f"{sessions:,}", _change(sessions, sessions_before)),
        _tile(
            "Sessions that order",
            f"{converted / sessions:.1%}" if sessions else "0%",
            f"{converted_before / sessions_before:.1%} the week before"
            if sessions_before
            else "no week before",
        ),
        _tile("Orders", f"{sum(int(row[1]) for row in rows['money']):,}", "all currencies"),
    ]


def _tile(name: str, value: str, below: str) -> str:
    words = f"<span>{_text(name)}</span><b>{_text(value)}</b><span>{_text(below)}</span>"
    return f'<div class="tile">{words}</div>'


def _plot(title: str, words: str, svg: str) -> str:
    labelled = svg.replace("<svg ", f'<svg role="img" aria-label="{_text(title)}" ', 1)
    return f"<section>\n<h2>{_text(title)}</h2>\n<p>{_text(words)}</p>\n{labelled}</section>\n"


def _table(title: str, head: Sequence[str], rows: Cells) -> str:
    if not rows:
        return f"<section>\n<h2>{_text(title)}</h2>\n<p>None this week.</p>\n</section>\n"
    heads = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    return (
        f'<section>\n<h2>{_text(title)}</h2>\n<div class="table"><table>\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}</tbody>\n</table></div>\n</section>\n"
    )


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
