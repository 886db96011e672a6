"""Figures -> SVG plots, the same file for the same figures."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.bench.report import HERE, Spread

FOLDER = HERE / "plots"
_OURS, _OTHERS = "#1f6feb", "#9aa4af"

mpl.rcParams["svg.hashsalt"] = "tapline"
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
    drawn = axes.barh(names, medians, xerr=(low, high), color=colours, ecolor="#57606a", capsize=2)
    axes.bar_label(drawn, labels=[f" {value:,.0f}" for value in medians], fontsize=8)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(unit, fontsize=8)
    axes.margins(x=0.12)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return save(figure, name)


def save(figure: Figure, name: str, folder: Path = FOLDER) -> Path:
    """Write a figure as SVG; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.svg"
    figure.savefig(path, format="svg", metadata={"Date": None})
    # matplotlib leaves spaces at the ends of lines.
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text().splitlines()))
    return path
