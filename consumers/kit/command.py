"""A consumer's main function -> the exit status of its process."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from runtime import process


def run(main: Callable[..., object], *arguments: object) -> NoReturn:
    """Run `main` with these arguments, then exit; logs are JSON on standard error.

    Status 0: it returned. 2: a setting is invalid, reported in one sentence. 1: any other failure, with
    traceback.
    """
    sys.exit(process.run(Path(sys.argv[0]).stem, lambda _: main(*arguments)))
