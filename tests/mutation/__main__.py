"""`python -m tests.mutation [--sample N] [--seed S]`: mutants that the unit tests alone detect, by package.

Each mutant is one small change of the code. The sample is drawn from the functions that a unit test reaches;
the integration tests reach the others. mutmut is no dependency: first run
`.venv/bin/python -m pip install mutmut==3.8.1`. The default sample takes most of an hour of one core.
Survivors are listed last; `mutmut show NAME`, in the folder that is printed first, shows a change.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.stack import ROOT

_PACKAGES = ("ingest", "consumers.kit", "consumers.warehouse")
_CONFIG = """
[tool.mutmut]
source_paths = ["ingest", "consumers"]
only_mutate = ["ingest/*", "consumers/kit/*", "consumers/warehouse/*"]
also_copy = [
  "runtime", "schemas", "deploy", "docs", "Makefile", "README.md", "CONTRIBUTING.md", "CHANGELOG.md",
]
pytest_add_cli_args = ["-n", "0", "-p", "no:randomly", "-m", "not slow", "--deselect",
  "tests/unit/kit/test_offsets.py::test_no_other_module_asks_a_consumer_for_offsets"]
pytest_add_cli_args_test_selection = ["tests/unit/ingest", "tests/unit/kit", "tests/unit/warehouse"]
timeout_multiplier = 4.0
"""
_SURVIVED = 0  # pytest's exit status
_NOTHING = "no.such.module*"


def main() -> int:
    """Run the sample and print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Run a sample of mutants.")
    parser.add_argument("--sample", type=int, default=300, help="mutants per package (default: 300)")
    parser.add_argument("--seed", type=int, default=16, help="of the sample (default: 16)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="tapline-mutants-"))
    print(folder, flush=True)
    _copy(folder)
    _mutmut(folder, [_NOTHING])  # only creates the mutants, and finds the tests of each function
    reached = _reached(folder)
    draw = random.Random(options.seed)
    sample = {name: draw.sample(found, min(options.sample, len(found))) for name, found in reached.items()}
    _mutmut(folder, [mutant for some in sample.values() for mutant in some])
    _print(_statuses(folder), reached, sample)
    return 0


def _copy(folder: Path) -> None:
    tree = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "x", "-C", folder], input=tree, check=True)
    with (folder / "pyproject.toml").open("a") as file:
        file.write(_CONFIG)


def _mutmut(folder: Path, mutants: Iterable[str]) -> None:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1", *mutants]
    with (folder / "mutmut.log").open("ab") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=False)


def _statuses(folder: Path) -> dict[str, int | None]:
    """Return mutant -> exit status of its tests."""
    found: dict[str, int | None] = {}
    for path in sorted((folder / "mutants").rglob("*.meta")):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def _reached(folder: Path) -> dict[str, list[str]]:
    """Return package -> mutants of the functions that a unit test calls."""
    stats = json.loads((folder / "mutants/mutmut-stats.json").read_text())["tests_by_mangled_function_name"]
    found: defaultdict[str, list[str]] = defaultdict(list)
    for mutant in sorted(_statuses(folder)):
        package = next(name for name in _PACKAGES if mutant.startswith(f"{name}."))
        if stats.get(mutant.rpartition("__mutmut_")[0]):
            found[package].append(mutant)
    return found


def _print(
    statuses: Mapping[str, int | None], reached: Mapping[str, list[str]], sample: Mapping[str, list[str]]
) -> None:
    every = Counter(next(name for name in _PACKAGES if mutant.startswith(f"{name}.")) for mutant in statuses)
    print("| package | mutants | reached by unit tests | sample | detected |\n|---|---:|---:|---:|---:|")
    survivors = []
    for package, mutants in sample.items():
        run = [mutant for mutant in mutants if statuses[mutant] is not None]
        alive = [mutant for mutant in run if statuses[mutant] == _SURVIVED]
        survivors += alive
        share = (len(run) - len(alive)) / max(1, len(run))
        print(f"| `{package}` | {every[package]} | {len(reached[package])} | {len(run)} | {share:.0%} |")
    print(*survivors, sep="\n")


if __name__ == "__main__":
    sys.exit(main())
