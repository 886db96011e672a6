"""Measurements -> words, tables, and RESULTS.md, part by part.

Invariant: a part that is measured again replaces its own section alone; the others stay as they were, each
with its own date, machine and command. All figures are medians over interleaved rounds; the spread is from
their lowest to their highest.
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
_ORDER = ("receivers", "loaders", "spool", "memory", "system")
_PACKAGES = ("chdb", "confluent-kafka", "uvicorn", "starlette", "fastapi", "msgspec", "fastavro")
_HEAD = """# Results of the bench

Written by `make bench`; [docs/benchmarks.md](../../docs/benchmarks.md) says what is measured and how.
Figures are medians over interleaved rounds, with the lowest and the highest in brackets.
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One part's results."""

    name: str  # the part's
    title: str
    lines: Sequence[str]  # Markdown


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


def spread(values: Iterable[float]) -> Spread:
    """Return one figure of all rounds."""
    return Spread(tuple(values))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; all columns but the first are numbers."""
    marks = ["---", *("---:" for _ in header[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (header, marks, *rows)]


def goal(words: str, value: Spread, least: float | None = None, most: float | None = None) -> list[str]:
    """Return the row of a goal: the target, the measured figure, and whether it is met."""
    met = value.median >= least if least is not None else value.median <= (most or 0.0)
    wanted = f">= {least:g}" if least is not None else f"<= {most:g}"
    return [words, wanted, value.text(2), "yes" if met else "**no**"]


GOALS = ("goal", "wanted", "measured", "met")


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


def write(section: Section, command: str, path: Path = RESULTS) -> None:
    """Put a section into the page, in place of its older version."""
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    head = [
        f"## {section.title}",
        "",
        f"{made}. {machine()}; {versions()}.",
        "",
        f"    {command}",
        "",
    ]
    sections = _sections(path.read_text() if path.exists() else "")
    sections[section.name] = "\n".join([*head, *section.lines]).rstrip() + "\n"
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
