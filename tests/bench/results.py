"""Parts' results -> a folder's RESULTS.md, history.jsonl and plots; and which parts have none for a commit.

Invariant: a part's results are written as soon as it ends, so a later part that fails costs nothing.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import history, plots
from tests.bench.part import PartFailedError
from tests.bench.quiet import Conditions, Watch
from tests.bench.report import HERE, RESULTS, Section, goals_table, say, write

NOISY = "noisy"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One part's run."""

    section: Section
    conditions: Conditions
    seconds: float  # its duration


def run_all(
    names: Iterable[str], measure: Callable[[str], Section], record: Callable[[Outcome], None]
) -> dict[str, str]:
    """Measure parts one after the other, and record each; return why the failed ones failed."""
    failed: dict[str, str] = {}
    for name in names:
        say(f"--- {name}")
        began = time.monotonic()
        try:
            with Watch() as watch:
                section = measure(name)
        except PartFailedError as error:
            failed[name] = str(error)
            say(f"FAILED {name}: {error}")
            continue
        one = Outcome(section, watch.conditions, time.monotonic() - began)
        record(one)
        say("\n".join([*goals_table(section.goals), "", *section.lines]))
        say(f"{name}: {one.seconds:.0f} s; {one.conditions.doubt or one.conditions.words}")
    return failed


@dataclass(frozen=True, slots=True)
class Results:
    """The results of one commit's code, in a folder with those of others."""

    commit: str  # empty: the checkout has changes
    is_long: bool = False
    folder: Path = HERE

    def missing(self, names: Sequence[str], again: str = "") -> list[str]:
        """Return the parts without results for this commit; `again`: also those of a noisy machine."""
        entries = history.read(self.folder / history.PATH.name)
        done = history.measured(entries, self.commit, long=self.is_long)
        return [name for name in names if name not in done or (again == NOISY and not done[name])]

    def record(self, outcome: Outcome, command: str) -> None:
        """Write a part's results."""
        section, conditions = outcome.section, outcome.conditions
        source = f"{command}  # {self.commit or 'a checkout with changes'}"
        write(section, source, conditions.doubt, self.folder / RESULTS.name)
        path = self.folder / history.PATH.name
        history.append(
            history.entry(section, self.commit, conditions, outcome.seconds, long=self.is_long), path
        )
        folder = self.folder / plots.FOLDER.name
        plots.goals(section, folder, doubt=bool(conditions.doubt))
        entries = history.read(path)
        plots.overview(entries, folder)
        plots.history(entries, folder)
