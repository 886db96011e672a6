"""`make bench`: Tapline beside other programs for its work, in one run on this machine -> RESULTS.md.

`ARGS="--only receivers --rounds 3"` measures a part. `ARGS=--smoke` measures nothing: within a minute it
shows that all contenders run and store what they acknowledge. Exit status: 0; 1 if one does not.
"""

import argparse
import sys
from collections.abc import Callable

from tests.bench import (
    compare_loaders,
    compare_queries,
    compare_receivers,
    doubling,
    growth,
    memory,
    sizes,
    spooling,
    starting,
    system,
)
from tests.bench.options import Options
from tests.bench.report import Section, say, write

PARTS: dict[str, Callable[[Options], Section]] = {
    "receivers": compare_receivers.run,
    "loaders": compare_loaders.run,
    "queries": compare_queries.run,
    "growth": growth.run,
    "sizes": sizes.run,
    "start": starting.run,
    "system": system.run,
    "two": doubling.run,
    "spool": spooling.run,
    "memory": memory.run,
}


def main() -> int:
    """Measure the chosen parts; return the exit status."""
    arguments = _arguments()
    options = Options(1 if arguments.smoke else arguments.rounds, smoke=arguments.smoke)
    for name in arguments.only:
        say(f"--- {name}")
        try:
            section = PARTS[name](options)
        except AssertionError as error:
            say(f"{name}: {error}")
            return 1
        if not options.smoke:
            write(section, f"make bench ARGS='--only {name} --rounds {options.rounds}'")
        say("\n".join(section.lines))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure Tapline beside others."
    )
    parser.add_argument(
        "--only", type=_names, default=[*PARTS], help=f"of {', '.join(PARTS)}; comma separated"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each figure is measured (5)")
    parser.add_argument("--smoke", action="store_true", help="show that all works; write nothing")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - PARTS.keys():
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
