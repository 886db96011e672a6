"""Command line -> ids of people. Shared by the commands about people."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from consumers.kit.erasures.erased_ids import ID_COLUMNS


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options for ids and their app."""
    for kind in ID_COLUMNS:
        name = f"--{kind.replace('_', '-')}"
        parser.add_argument(name, dest=kind, action="append", default=[], type=_id, metavar="ID")
    parser.add_argument(
        "--app-id", default="", metavar="ID", help="only rows of this app, or of an unknown one"
    )


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the option for a file of ids."""
    parser.add_argument(
        "--ids-file",
        type=Path,
        metavar="FILE",
        help=f"one id a line, `KIND ID`; kinds: {', '.join(ID_COLUMNS)}; `-`: standard input",
    )


def ids(parser: argparse.ArgumentParser, options: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Return the given ids by kind; without any, or with a wrong line, the process ends."""
    found: dict[str, list[str]] = {kind: [*getattr(options, kind)] for kind in ID_COLUMNS}
    if path := getattr(options, "ids_file", None):
        lines = (sys.stdin if str(path) == "-" else path.open()).readlines()
        for number, kind, one in _entries(lines):
            if kind not in found or not one:
                parser.error(
                    f"{path}: line {number} is not one of {', '.join(ID_COLUMNS)}, a blank, and an id"
                )
            found[kind].append(one)
    if not any(found.values()):
        parser.error("give at least one id of the person")
    return {kind: (*dict.fromkeys(own),) for kind, own in found.items()}


def _entries(lines: Iterable[str]) -> Iterable[tuple[int, str, str]]:
    for number, line in enumerate(lines, 1):
        if text := line.strip():
            kind, _, one = text.partition(" ")
            yield number, kind, one.strip()


def _id(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text
