"""A consumer's main function -> its command line, and the exit status of its process."""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from runtime import process


def run(main: Callable[..., object]) -> NoReturn:
    """Run `main` with the arguments of the command line, then exit; logs are JSON on standard error.

    The positional parameters of `main` are the arguments; their annotations convert the texts. Status 0: it
    returned. 2: an argument or a setting is invalid, reported in one sentence. 1: any other failure, with
    traceback.
    """
    name = Path(sys.argv[0]).stem
    sys.exit(process.run(name, lambda _: main(*_arguments(name, main))))


def _arguments(name: str, main: Callable[..., object]) -> list[Any]:
    parser = argparse.ArgumentParser(prog=name, description=inspect.getdoc(main))
    for one in inspect.signature(main).parameters.values():
        if one.kind is one.POSITIONAL_OR_KEYWORD and one.default is one.empty:
            parser.add_argument(one.name, type=one.annotation)
        elif one.kind is one.POSITIONAL_OR_KEYWORD:
            parser.add_argument(one.name, type=one.annotation, nargs="?", default=one.default)
    return [*vars(parser.parse_args()).values()]
