"""What a run of the bench writes, and which parts the next run measures."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.bench import history, part
from tests.bench.part import PartFailedError
from tests.bench.quiet import Conditions
from tests.bench.report import Section, goal, spread
from tests.bench.results import NOISY, Outcome, Results, run_all
from tests.support.stack import ROOT
from tests.support.waiting import eventually

QUIET, LOUD = Conditions(0.01, 0.0), Conditions(0.7, 0.2)


def section(name: str = "speed") -> Section:
    """Return results with a goal that is met, and one that is missed."""
    goals = [
        goal("requests/s", spread([9.0, 12.0, 10.0]), least=8),
        goal("memory", spread([300.0]), most=100),
    ]
    return Section(name, f"The {name}", "Three rounds.", goals, ["A line."])


def record(folder: Path, commit: str, conditions: Conditions = QUIET, name: str = "speed") -> None:
    """Write the results of a part."""
    Results(commit, folder=folder).record(Outcome(section(name), conditions, 12.0), "make bench")


def test_a_part_measured_on_this_commit_is_not_measured_again(tmp_path: Path) -> None:
    """Another part is, and so is every part of another commit, or of a checkout with changes."""
    names = ["speed", "memory"]
    record(tmp_path, "abc")
    record(tmp_path, "")

    assert Results("abc", folder=tmp_path).missing(names) == ["memory"]
    assert Results("abd", folder=tmp_path).missing(names) == names
    assert Results("", folder=tmp_path).missing(names) == names
    assert Results("abc", is_long=True, folder=tmp_path).missing(names) == names


def test_noisy_parts_are_measured_again_if_asked(tmp_path: Path) -> None:
    """Until the machine was quiet for one of their runs."""
    record(tmp_path, "abc", LOUD)
    results = Results("abc", folder=tmp_path)

    assert results.missing(["speed"]) == []
    assert results.missing(["speed"], NOISY) == ["speed"]
    record(tmp_path, "abc", QUIET)
    assert results.missing(["speed"], NOISY) == []


def test_figures_of_a_noisy_machine_are_marked(tmp_path: Path) -> None:
    """In words, and each figure; a quiet run afterwards replaces them."""
    record(tmp_path, "abc", LOUD)
    noisy = (tmp_path / "RESULTS.md").read_text()
    record(tmp_path, "abc", QUIET)
    quiet = (tmp_path / "RESULTS.md").read_text()

    assert "other processes took 70% of a core, the hypervisor 20% (steal)" in noisy
    assert "| requests/s | >= 8 | 10.00 (9.00 to 12.00) ? | yes ? |" in noisy
    assert "| memory | <= 100 | 300.00 ? | **no** ? |" in noisy
    assert "| requests/s | >= 8 | 10.00 (9.00 to 12.00) | yes |" in quiet
    assert "not quiet, so" not in quiet
    assert [one.quiet for one in history.read(tmp_path / "history.jsonl")] == [False, True]


def test_a_part_replaces_its_own_section_alone(tmp_path: Path) -> None:
    """Others stay as they are; every plot that the page names exists."""
    record(tmp_path, "abc")
    record(tmp_path, "abc", name="memory")
    before = (tmp_path / "RESULTS.md").read_text()
    record(tmp_path, "abc", LOUD, "memory")
    after = (tmp_path / "RESULTS.md").read_text()

    assert before.partition("<!-- part: speed -->")[2] in after
    for name in ("goals", "history", "goals-speed", "goals-memory"):
        assert (tmp_path / "plots" / f"{name}.svg").read_text().endswith("</svg>\n")


def test_history_has_medians_and_targets(tmp_path: Path) -> None:
    """A line per run, with the commit; a miss of 3 is three times as bad as wanted."""
    record(tmp_path, "abc")
    [one] = history.read(tmp_path / "history.jsonl")

    assert (one.part, one.commit, one.quiet, one.seconds) == ("speed", "abc", True, 12.0)
    assert one.goals["requests/s"] == history.Median(10.0, least=8)
    assert one.goals["requests/s"].miss() == 0.8
    assert one.goals["memory"].miss() == 3.0


def test_a_failing_part_costs_no_other_its_results() -> None:
    """It is named with its reason, and the parts before and after it are recorded."""
    recorded: list[str] = []

    def measure(name: str) -> Section:
        if name == "broken":
            raise PartFailedError("it broke")
        return section(name)

    failed = run_all(["a", "broken", "b"], measure, lambda one: recorded.append(one.section.name))

    assert failed == {"broken": "it broke"}
    assert recorded == ["a", "b"]


def test_a_part_that_fails_says_so() -> None:
    """By its status."""
    with pytest.raises(PartFailedError, match="status 3"):
        part.end([sys.executable, "-c", "import sys; sys.exit(3)"], 60)


def test_a_part_that_takes_too_long_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    """What it leaves is killed."""
    said = tmp_path / "child"
    command = f"sleep 600 & echo $! > {said}.new; mv {said}.new {said}; wait"
    process = subprocess.Popen(["sh", "-c", command])
    eventually(said.exists, 60, "its child")
    child = psutil.Process(int(said.read_text()))
    part.stop(process)

    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    with pytest.raises(PartFailedError, match="its limit"):
        part.end(["sleep", "600"], 0.1)


def test_a_part_that_is_stopped_stops_what_it_started(tmp_path: Path) -> None:
    """Its `finally` blocks run to their end, also where interrupts are ignored, as in the background."""
    script = (
        "import signal, sys, time, pathlib\n"
        "from tests.bench import part\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "def work(options):\n"
        "    try:\n"
        "        (folder / 'started').touch()\n"
        "        time.sleep(600)\n"
        "    finally:\n"
        "        time.sleep(0.2)\n"
        "        (folder / 'stopped').touch()\n"
        "part.PARTS['spool'] = part.Part(work, 1, 1)\n"
        "sys.argv = ['part', 'spool', '--out', '/dev/null', '--rounds', '1']\n"
        "sys.exit(part.main())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    eventually((tmp_path / "started").exists, 120, "the part's start")
    part.stop(process)

    assert (tmp_path / "stopped").exists()
    assert process.returncode == 128 + signal.SIGTERM
