"""The numbers of a week -> plots, as SVG to embed in a page. Pure.

Invariants: text of an event is neither markup (matplotlib escapes it) nor mathematics; ids differ between
plots, because they share a page; the same numbers give the same bytes.
"""

from collections import defaultdict
from datetime import date, timedelta
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deploy.report.week import Rows, Week
from runtime.printable import printable

_INK, _QUIET, _GRID = "#1f2933", "#52606d", "#e4e7eb"
# Distinguishable with colour blindness (Okabe and Ito).
_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _QUIET,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _GRID,
}
_STEPS = ("Opened", "Viewed", "Added", "Checkout", "Ordered")
_CURRENCIES_MAX = 4
_LABEL_CHARS_MAX = 40


def devices(week: Week) -> str:
    """Return active devices by day, and how many of them were new."""
    figure, axes = _figure()
    days = _days(week)
    active = {row[0]: row[1] for row in week.rows["devices"]}
    new = {row[0]: row[2] for row in week.rows["devices"]}
    _bars(
        axes,
        days,
        [
            ("known before", [active.get(d, 0) - new.get(d, 0) for d in days]),
            ("new", [new.get(d, 0) for d in days]),
        ],
    )
    return _svg(figure, "devices")


def sessions(week: Week) -> str:
    """Return sessions by day and source."""
    figure, axes = _figure()
    days = _days(week)
    _bars(axes, days, list(_by_day(week.rows["sessions"], days, 2).items()))
    return _svg(figure, "sessions")


def funnel(week: Week) -> str:
    """Return how many devices reached each step."""
    figure, axes = _figure()
    counts = [int(count) for count in week.rows["funnel"][0]]
    axes.barh(range(len(counts)), counts, color=_COLORS[0], height=0.62)
    axes.set_yticks(range(len(counts)), _STEPS)
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_xlim(0, max(*counts, 1) * 1.28)
    for index, count in enumerate(counts):
        share = f"  {count:,}  ({count / counts[0]:.0%})" if counts[0] else "  0"
        axes.text(count, index, share, va="center")
    return _svg(figure, "funnel")


def revenue(week: Week) -> str:
    """Return revenue by day, a plot for each currency."""
    days = _days(week)
    found = _by_day(week.rows["revenue"], days, 2)
    ranked = sorted(found, key=lambda currency: -sum(found[currency]))[:_CURRENCIES_MAX] or ["none"]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.9, 0.5 + 1.15 * len(ranked)), layout="constrained")
        every = figure.subplots(len(ranked), 1, sharex=True, squeeze=False)[:, 0]
        for index, (axes, currency) in enumerate(zip(every, ranked, strict=True)):
            axes.grid(visible=True)
            axes.bar(_labels(days), found.get(currency, [0] * len(days)), color=_COLORS[index], width=0.62)
            axes.set_ylabel(printable(currency, _LABEL_CHARS_MAX))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
    return _svg(figure, "revenue")


def retention(week: Week) -> str:
    """Return the share of each cohort that returned in each later week."""
    rows = week.rows["retention"]
    cohorts = sorted({row[0] for row in rows})
    width = max((row[1] for row in rows), default=0) + 1
    figure, axes = _figure()
    axes.grid(visible=False)
    shares = [[0.0] * width for _ in cohorts]
    for cohort, after, _, retained in rows:
        shares[cohorts.index(cohort)][after] = retained
    if shares:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for cohort, after, _, retained in rows:
        axes.text(
            after,
            cohorts.index(cohort),
            f"{retained:.0%}",
            ha="center",
            va="center",
            color="white" if retained > 0.55 else _INK,  # noqa: PLR2004 - dark enough for white
        )
    axes.set_yticks(range(len(cohorts)), [f"{date.fromisoformat(cohort):%d %b}" for cohort in cohorts])
    axes.set_xticks(range(width), [str(index) for index in range(width)])
    axes.set_xlabel("weeks after the first")
    return _svg(figure, "retention")


def _figure() -> tuple[Figure, Axes]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.9, 2.7), layout="constrained")
        axes = figure.subplots()
        axes.grid(visible=True)
    return figure, axes


def _bars(axes: Axes, days: list[str], parts: list[tuple[str, list[float]]]) -> None:
    with mpl.rc_context(_STYLE):
        below = [0.0] * len(days)
        for index, (name, values) in enumerate(parts):
            axes.bar(
                _labels(days),
                values,
                bottom=below,
                label=printable(name, _LABEL_CHARS_MAX),
                color=_COLORS[index % len(_COLORS)],
                width=0.62,
            )
            below = [one + other for one, other in zip(below, values, strict=True)]
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_locator(mpl.ticker.MaxNLocator(4, integer=True))
        if parts:
            axes.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.2), borderaxespad=0)


def _days(week: Week) -> list[str]:
    return [(week.monday + timedelta(days=index)).isoformat() for index in range(7)]


def _labels(days: list[str]) -> list[str]:
    return [f"{date.fromisoformat(day):%a %d}" for day in days]


def _by_day(rows: Rows, days: list[str], value: int) -> dict[str, list[float]]:
    """Return name -> a value for each day; rows are (day, name, ...)."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(days))
    for row in rows:
        found[row[1]][days.index(row[0])] += row[value]
    return dict(sorted(found.items()))


def _svg(figure: Figure, name: str) -> str:
    out = StringIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
