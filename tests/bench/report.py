"""Measurements -> words, tables, and RESULTS.md, part by part.

Invariant: a part that is measured again replaces its own section alone; the others stay as they were, each
with its own date, machine, commit and command. All figures are medians over interleaved rounds; the spread
is from their lowest to their highest. A figure measured on a machine that was not quiet ends with "?".
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from deploy.local.kafka import VERSION

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
_ORDER = ("receivers", "loaders", "spool", "memory", "system", "idle", "highest")
_PACKAGES = ("chdb", "confluent-kafka", "uvicorn", "starlette", "fastapi", "msgspec", "fastavro")
_HEAD = """# Results of the bench

Written by `make bench`; [docs/benchmarks.md](../../docs/benchmarks.md) says what is measured and how.
Figures are medians over interleaved rounds, with the lowest and the highest in brackets. A "?" marks figures
of a machine that was not quiet. [goals.svg](plots/goals.svg) shows all goals,
[history.svg](plots/history.svg) their medians by commit.
"""


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure of all rounds."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return median(self.values)

    def text(self, digits: int = 0) -> str:
        """Return median and extremes."""
        low, high = min(self.values), max(self.values)
        if len(self.values) == 1:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"

    def ratio(self, other: "Spread") -> "Spread":
        """Return the ratio to `other`, round by round, so that other load of a round affects both."""
        return Spread(tuple(ours / theirs for ours, theirs in zip(self.values, other.values, strict=True)))

    def times(self, factor: float) -> "Spread":
        """Return it in another unit."""
        return Spread(tuple(value * factor for value in self.values))


@dataclass(frozen=True, slots=True)
class Goal:
    """A target and the figure measured for it."""

    name: str
    wanted: float
    is_least: bool  # else `wanted` is the most
    measured: Spread

    @property
    def is_met(self) -> bool:
        """Whether the median reaches the target."""
        return self.miss(self.measured.median) <= 1

    def miss(self, value: float) -> float:
        """Return how far `value` is from the target: 1 is just met, 2 is twice as bad, 0.5 twice as good."""
        over, under = (self.wanted, value) if self.is_least else (value, self.wanted)
        return over / under if under else float("inf")

    @property
    def words(self) -> str:
        """The target in words."""
        return f"{'>=' if self.is_least else '<='} {self.wanted:,g}"


@dataclass(frozen=True, slots=True)
class Section:
    """One part's results."""

    name: str  # the part's
    title: str
    about: str  # the amount of measuring, one sentence
    goals: Sequence[Goal]
    lines: Sequence[str]  # all figures: Markdown


def spread(values: Iterable[float]) -> Spread:
    """Return one figure of all rounds."""
    return Spread(tuple(values))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; all columns but the first are numbers."""
    marks = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, marks, *rows)]


def goal(name: str, value: Spread, least: float | None = None, most: float = 0.0) -> Goal:
    """Return a goal: `value` is to be `least` or more, or else `most` or less."""
    return Goal(name, most if least is None else least, least is not None, value)


def goals_table(goals: Iterable[Goal], mark: str = "") -> list[str]:
    """Return the table of goals; `mark` follows each measured figure."""
    rows = [
        [one.name, one.words, one.measured.text(2) + mark, ("yes" if one.is_met else "**no**") + mark]
        for one in goals
    ]
    return table(("goal", "wanted", "measured", "met"), rows) if rows else []


def machine() -> str:
    """Return a description of this machine."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    about = f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), {memory} GiB"
    return f"{about}, Linux {platform.release()}"


def versions() -> str:
    """Return the versions of the measured programs."""
    found = [f"Python {platform.python_version()}", f"Kafka {VERSION}"]
    found += [f"{name} {version(name)}" for name in _PACKAGES]
    if go := shutil.which("go"):
        said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout.split()
        found += [f"Go {said[2].removeprefix('go')}"] if len(said) > 2 else []
    return ", ".join(found)


def write(section: Section, source: str, doubt: str = "", path: Path = RESULTS) -> None:
    """Put a section into the page, in place of its older version.

    `source`: the commit and the command. `doubt`: why its figures are not to be trusted, if they are not.
    """
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    text = [f"## {section.title}", "", f"{made}. {machine()}; {versions()}.", "", f"    {source}", ""]
    text += [f"**{doubt}**", ""] if doubt else []
    text += [section.about, "", *goals_table(section.goals, " ?" if doubt else "")]
    if section.goals:
        text += ["", f"![Goals: {section.title}](plots/goals-{section.name}.svg)"]
    sections = _sections(path.read_text() if path.exists() else "")
    sections[section.name] = "\n".join([*text, "", *section.lines]).rstrip() + "\n"
    known = [name for name in _ORDER if name in sections]
    rest = sorted(sections.keys() - known)
    parts = [f"{_mark(name)}\n{sections[name]}" for name in (*known, *rest)]
    path.write_text("\n".join([_HEAD, *parts]))


def say(line: str) -> None:
    """Report progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _mark(name: str) -> str:
    return f"<!-- part: {name} -->"


def _sections(text: str) -> dict[str, str]:
    _, *found = re.split(r"^<!-- part: (\S+) -->\n", text, flags=re.MULTILINE)
    return {name: body.strip("\n") + "\n" for name, body in zip(found[::2], found[1::2], strict=True)}
