"""Figures -> SVG plots, the same file for the same figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from tests.bench.history import Entry, Median
from tests.bench.report import HERE, Goal, Section, Spread

FOLDER = HERE / "plots"
_OURS, _OTHERS, _LINES = "#1f6feb", "#9aa4af", "#57606a"
_MET, _MISSED, _DOUBTFUL = "#1a7f37", "#cf222e", "#9aa4af"
_COLUMNS = 3

mpl.rcParams["svg.hashsalt"] = "tapline"
mpl.rcParams["svg.fonttype"] = "none"
mpl.rcParams["font.family"] = "sans-serif"


def bars(name: str, title: str, unit: str, values: Mapping[str, Spread]) -> Path:
    """Draw one horizontal bar per contender, the greatest first; return the file."""
    ordered = sorted(values.items(), key=lambda item: item[1].median)
    names = [name for name, _ in ordered]
    medians = [value.median for _, value in ordered]
    low = [value.median - min(value.values) for _, value in ordered]
    high = [max(value.values) - value.median for _, value in ordered]
    figure = Figure(figsize=(7, 0.6 + 0.34 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    colours = [_OURS if name.startswith("tapline") else _OTHERS for name in names]
    drawn = axes.barh(names, medians, xerr=(low, high), color=colours, ecolor=_LINES, capsize=2)
    axes.bar_label(drawn, labels=[f" {value:,.0f}" for value in medians], fontsize=8)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(unit, fontsize=8)
    axes.margins(x=0.12)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return save(figure, name)


def goals(section: Section, folder: Path = FOLDER, *, doubt: bool) -> Path | None:
    """Draw a plot for each goal of a part: the measured figure, the target, and the gap between them."""
    if not section.goals:
        return None
    rows, title = len(section.goals), section.title
    figure = Figure(figsize=(7, 0.5 + 0.75 * rows), layout="constrained")
    figure.suptitle(
        f"{title}{': the machine was not quiet' if doubt else ''}", fontsize=10, x=0.01, ha="left"
    )
    for axes, one in zip(figure.subplots(rows, 1, squeeze=False)[:, 0], section.goals, strict=True):
        _gap(axes, one, doubt=doubt)
    return save(figure, f"goals-{section.name}", folder)


def _gap(axes: Axes, one: Goal, *, doubt: bool) -> None:
    value, low, high = one.measured.median, min(one.measured.values), max(one.measured.values)
    colour = _DOUBTFUL if doubt else _MET if one.is_met else _MISSED
    axes.barh([0], [value], height=0.5, color=_OURS, xerr=([value - low], [high - value]), ecolor=_LINES)
    axes.barh([0], [one.wanted - value], left=[value], height=0.5, color=colour, alpha=0.35)
    axes.axvline(one.wanted, color=colour, linewidth=2)
    axes.set_xlim(0, 1.08 * max(one.wanted, high))
    axes.set_title(f"{one.name}: {value:,.4g}, wanted {one.words} ({_far(one)})", fontsize=8, loc="left")
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _far(one: Goal) -> str:
    miss = one.miss(one.measured.median)
    return f"missed by a factor of {miss:.2f}" if not one.is_met else "met"


def overview(entries: Sequence[Entry], folder: Path = FOLDER) -> Path | None:
    """Draw the last median of every goal, relative to its target."""
    last = {one.part: one for one in entries}
    rows = [
        (f"{part}: {name}", median, one.quiet)
        for part, one in last.items()
        for name, median in one.goals.items()
    ][::-1]
    if not rows:
        return None
    figure = Figure(figsize=(8, 0.8 + 0.2 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    for place, (_, median, quiet) in enumerate(rows):
        colour = _MET if median.miss() <= 1 else _MISSED
        axes.plot([1, _shown(median)], [place, place], color=colour, linewidth=3, alpha=1 if quiet else 0.3)
        axes.plot([_shown(median)], [place], "o", color=colour, alpha=1 if quiet else 0.3)
    axes.axvline(1, color=_LINES, linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=7)
    axes.margins(y=0.02)
    axes.set_title(
        "Goals: left of the line met, right of it missed by that factor (pale: not a quiet machine)",
        fontsize=9, loc="right",
    )  # fmt: skip
    _plain(axes.xaxis)
    axes.spines[["top", "right"]].set_visible(False)
    return save(figure, "goals", folder)


def history(entries: Sequence[Entry], folder: Path = FOLDER) -> Path | None:
    """Draw each goal's medians by commit, relative to its target; of a commit's quiet runs the last."""
    runs = [one for one in entries if one.commit and one.goals and not one.long]
    parts, commits = [*dict.fromkeys(one.part for one in runs)], [*dict.fromkeys(one.commit for one in runs)]
    if not runs:
        return None
    figure = Figure(figsize=(12, 3.6 * -(-len(parts) // _COLUMNS)), layout="constrained")
    places = [*figure.subplots(-(-len(parts) // _COLUMNS), _COLUMNS, squeeze=False).flat]
    for axes, part in zip(places, parts, strict=False):
        _lines(axes, part, [one for one in runs if one.part == part], commits)
    for axes in places[len(parts) :]:
        axes.set_visible(False)
    return save(figure, "history", folder)


def _lines(axes: Axes, part: str, runs: Sequence[Entry], commits: Sequence[str]) -> None:
    # A quiet run of a commit counts more than one that was not; of the same kind the last.
    best = {one.commit: one for one in sorted(runs, key=lambda one: one.quiet)}
    for name in dict.fromkeys(name for one in runs for name in one.goals):
        points = [(commits.index(one.commit), one.goals[name]) for one in best.values() if name in one.goals]
        points.sort(key=lambda point: point[0])
        axes.plot(
            [place for place, _ in points], [_shown(median) for _, median in points], "o-",
            label=name, markersize=3, linewidth=1,
        )  # fmt: skip
    noisy = [commits.index(one.commit) for one in best.values() if not one.quiet]
    axes.plot(noisy, [1] * len(noisy), "x", color=_LINES, markersize=4)
    axes.axhline(1, color=_LINES, linewidth=1)
    axes.set_yscale("log", base=2)
    _plain(axes.yaxis)
    axes.set_xticks(range(len(commits)), [commit[:7] for commit in commits], rotation=45, fontsize=6)
    axes.set_title(f"{part}: below 1 met; x: not quiet", fontsize=8, loc="left")
    axes.legend(fontsize=5, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _shown(median: Median) -> float:
    """Return the distance to the target, within what a plot can show."""
    return min(64.0, max(1 / 64, median.miss()))


def _plain(axis: Axis) -> None:
    """Show factors as numbers."""
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_tick_params(labelsize=7)


def save(figure: Figure, name: str, folder: Path = FOLDER) -> Path:
    """Write a figure as SVG; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    figure.savefig(path, format="svg", metadata={"Date": None})
    # matplotlib leaves spaces at the ends of lines.
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text().splitlines()))
    return path
