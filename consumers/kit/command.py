"""The main function of a consumer -> its process's exit status."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from runtime import process


def run(main: Callable[..., object], *arguments: object) -> NoReturn:
    """Call `main` with these arguments, then exit; logs are JSON on standard error.

    Status 0: it returned. 2: a setting is wrong, told in a sentence. 1: anything else, with its traceback.
    """
    sys.exit(process.run(Path(sys.argv[0]).stem, lambda _: main(*arguments)))
