"""`make bench`: Tapline beside other programs for its work, on this machine -> RESULTS.md, plots, history.

It takes about a quarter of an hour on 2 quiet cores. Each part runs in a process of its own, with a limit of
time, and its results are written as soon as it ends. Started again, it measures only the parts that have no
results for this commit; `--again` measures all, `--again noisy` those measured while the machine was not
quiet. `ARGS="--only receivers --rounds 7"` measures a part, `--long` the full amounts, for hours.
`ARGS=--smoke` measures nothing: it shows that all contenders run and store what they acknowledge.
Exit status: 0; 1 if a part failed.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from tests.bench import history, part, quiet
from tests.bench.options import Options
from tests.bench.part import PARTS
from tests.bench.report import Section, say
from tests.bench.results import NOISY, Outcome, Results, run_all

_LOOK_SECONDS = 3.0
_ALL = "all"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the chosen parts; return the exit status."""
    given = _arguments(arguments)
    given.only = given.only or [name for name, one in PARTS.items() if one.is_usual or given.long]

    def measure(name: str) -> Section:
        rounds = 1 if given.smoke else given.rounds or PARTS[name].rounds
        return part.measure(name, Options(rounds, smoke=given.smoke, long=given.long))

    if given.smoke:
        return 1 if run_all(given.only, measure, lambda _: None) else 0
    results = Results(history.commit(), given.long)
    wanted = given.only if given.again == _ALL else results.missing(given.only, given.again)
    for name in given.only:
        if name not in wanted:
            say(f"--- {name}: measured on {results.commit} already; --again measures it again")
    before = quiet.look(_LOOK_SECONDS)
    say(f"before: {before.words}")
    if not before.is_quiet:
        say("The machine is not quiet: end what else runs on it, or do not trust the figures.")

    def record(outcome: Outcome) -> None:
        options = ["--only", outcome.section.name, *(["--long"] if given.long else [])]
        options += ["--rounds", str(given.rounds)] if given.rounds else []
        results.record(outcome, f"make bench ARGS={shlex.quote(' '.join(options))}")

    failed = run_all(wanted, measure, record)
    for name, why in failed.items():
        say(f"FAILED {name}: {why}; started again, the bench measures it again")
    return 1 if failed else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure Tapline beside others."
    )
    parser.add_argument("--only", type=_names, help=f"of {', '.join(PARTS)}; comma separated")
    parser.add_argument("--rounds", type=int, help="how often each figure is measured")
    parser.add_argument("--smoke", action="store_true", help="show that all works; write nothing")
    parser.add_argument("--long", action="store_true", help="the full amounts; takes hours")
    parser.add_argument(
        "--again",
        nargs="?",
        const=_ALL,
        default="",
        choices=(_ALL, NOISY),
        help="measure parts that have results for this commit: all, or those of a machine that was not quiet",
    )
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - PARTS.keys():
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
