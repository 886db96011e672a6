"""`python -m tests.faults.harness`: break a stack of its own while events are sent, then judge.

Exit status: 0 every promise kept, 1 not, 2 wrong options. The same seed gives the same posts and the same
plan of faults; how they meet depends on the machine.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.faults.harness import network, plan, report
from tests.faults.harness.run import Options, Run, choices, clean


def main() -> int:
    """Return the exit status."""
    parser = _parser()
    arguments = parser.parse_args()
    options = _options(arguments)
    if options.network and (why := network.missing()):
        parser.error(f"--network: {why}")
    unknown = {*options.only} - {choice.name for choice in choices(options)}
    if unknown:
        known = ", ".join(choice.name for choice in choices(msgspec.structs.replace(options, only=())))
        parser.error(f"unknown faults: {', '.join(sorted(unknown))}; known: {known}")
    command = _again(options)
    _say(f"seed {options.seed}, data in {options.folder}")
    outcome = Run(options, _say).run()
    text = report.text(options, outcome, command)
    print(text, flush=True)
    if arguments.report:
        arguments.report.write_text(report.markdown(options, outcome, command))
    if not outcome.complaints and not arguments.keep:
        clean(options.folder)
    else:
        print(f"data kept in {options.folder}; run again: {command}", flush=True)
    return 1 if outcome.complaints else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=None, help="of posts and faults (default: drawn, and shown)"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="at least so long (default: 60)")
    parser.add_argument("--events", type=int, default=0, help="at least this many acknowledged (default: 0)")
    parser.add_argument("--faults", type=int, default=0, help="at least this many faults (default: 0)")
    parser.add_argument(
        "--rate", type=float, default=500.0, help="posts a second; 0: no bound (default: 500)"
    )
    parser.add_argument("--connections", type=int, default=32, help="of the sender (default: 32)")
    parser.add_argument("--cluster", action="store_true", help="three Kafka brokers instead of one")
    parser.add_argument(
        "--network", action="store_true", help="a cluster whose brokers are cut off, one at a time (root)"
    )
    parser.add_argument(
        "--only", type=lambda text: tuple(text.split(",")), default=(), help="names of faults"
    )
    parser.add_argument(
        "--hands", type=int, default=plan.HANDS, help=f"faults at once (default: {plan.HANDS})"
    )
    # Kafka's default of 45 s would make a run wait mostly for killed loaders.
    parser.add_argument("--session-ms", type=int, default=6000, help="the loaders' session.timeout.ms")
    parser.add_argument("--sample", type=int, default=20_000, help="events compared value by value")
    parser.add_argument("--folder", type=Path, default=None, help="where data go (default: a new one)")
    parser.add_argument("--again", action="store_true", help="judge what a run has left in --folder again")
    parser.add_argument("--keep", action="store_true", help="keep the data of a run that passes")
    parser.add_argument("--report", type=Path, default=None, help="write a report here too")
    return parser


def _options(arguments: argparse.Namespace) -> Options:
    given = {name: value for name, value in vars(arguments).items() if name in Options.__struct_fields__}
    if arguments.seed is None:
        given["seed"] = time.time_ns() % 1_000_000
    if arguments.folder is None:
        given["folder"] = Path(tempfile.mkdtemp(prefix="tapline-faults-"))
    if arguments.network:
        given |= {"cluster": True, "hands": 1}
    return Options(**given)


def _again(options: Options) -> str:
    parts = [f"--seed {options.seed}", f"--seconds {options.seconds:g}"]
    parts += [f"--{name} {getattr(options, name)}" for name in ("events", "faults") if getattr(options, name)]
    parts += [f"--rate {options.rate:g}", f"--connections {options.connections}", f"--hands {options.hands}"]
    parts += [f"--session-ms {options.session_ms}"]
    parts += ["--network"] if options.network else ["--cluster"] if options.cluster else []
    parts += [f'--only "{",".join(options.only)}"'] if options.only else []
    return f"python -m tests.faults.harness {' '.join(parts)}"


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"faults: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Threads of client libraries may still wait for missing brokers.
    os._exit(status)
