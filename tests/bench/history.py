"""Each run of a part -> a line of history.jsonl: commit, date, the goals' medians, quiet machine or not.

Invariant: lines are only appended. A commit is the last one that changed anything but what the bench itself
writes and the docs; a checkout with other changes has none, because nobody can find its code again.
"""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tests.bench.quiet import Conditions
from tests.bench.report import HERE, Section, Spread, goal
from tests.support.stack import ROOT

PATH = HERE / "history.jsonl"
_CODE = (".", ":(exclude)*.md", ":(exclude)tests/bench/history.jsonl", ":(exclude)tests/bench/plots")


class Median(msgspec.Struct, frozen=True, omit_defaults=True):
    """One goal's median, and what was wanted: `least` or `most`."""

    median: float
    least: float | None = None
    most: float | None = None

    def miss(self) -> float:
        """Return how far it is from its target: 1 is just met, 2 is twice as bad."""
        return goal("", Spread((self.median,)), self.least, self.most or 0.0).miss(self.median)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run of one part."""

    part: str
    commit: str  # empty: the checkout had changes
    date: str  # ISO 8601, UTC
    quiet: bool
    goals: dict[str, Median]
    seconds: float = 0.0  # duration of the part
    long: bool = False


def entry(section: Section, commit: str, conditions: Conditions, seconds: float, *, long: bool) -> Entry:
    """Return the line of a part that was just measured."""
    goals = {
        one.name: Median(
            float(f"{one.measured.median:.4g}"),
            least=one.wanted if one.is_least else None,
            most=None if one.is_least else one.wanted,
        )
        for one in section.goals
    }
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Entry(section.name, commit, now, conditions.is_quiet, goals, round(seconds), long)


def append(one: Entry, path: Path = PATH) -> None:
    """Add a line."""
    with path.open("ab") as file:
        file.write(msgspec.json.encode(one) + b"\n")


def read(path: Path = PATH) -> list[Entry]:
    """Return all lines, the oldest first."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Entry) for line in lines]


def measured(entries: list[Entry], commit: str, *, long: bool) -> dict[str, bool]:
    """Return the parts measured on this commit, each with whether the machine was quiet for its last run."""
    return {
        one.part: one.quiet for one in entries if commit and one.commit == commit and (one.long or not long)
    }


def commit() -> str:
    """Return the commit of the code that runs; empty if the checkout has other changes, or is none."""
    if _git("status", "--porcelain", "--", *_CODE):
        return ""
    return _git("log", "-1", "--format=%h", "--abbrev=10", "--", *_CODE)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""  # there is no git on this machine
    return done.stdout.strip()
