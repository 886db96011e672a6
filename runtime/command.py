"""One command from its options to its exit status, the same for all of ours.

Exit status: what the command returns (0: done), or `exit_status` of its error (2: a setting, an option or
the catalog is invalid). 1: a file or a connection failed. 70: a fault of ours. 130: Ctrl-C. 141: the reader
of its output is gone.

Invariant: an error is sentences on standard error, one line per problem, without a traceback.
`python -X dev -m ...` shows the traceback of a fault of ours.
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, NoReturn

from runtime.printable import printable_lines

_ROOT = Path(__file__).resolve().parents[1]
_LINE_CHARS_MAX = 2_000
_FAULT, _INTERRUPTED, _NO_READER = 70, 130, 141  # sysexits.h; a shell's for SIGINT and SIGPIPE
_NONE: Mapping[type[Exception], int] = MappingProxyType({})


class CommandError(Exception):
    """A command cannot do its work; the text is for the terminal, and names the remedy."""

    exit_status: ClassVar[int] = 1


def main(
    name: str, command: Callable[[Sequence[str]], int], expected: Mapping[type[Exception], int] = _NONE
) -> NoReturn:
    """Run `command` with the options of this process, and exit; `name` begins each error.

    `expected`: further errors whose texts are for the terminal, and their exit status.
    """
    try:
        status = run(name, lambda: command(sys.argv[1:]), {OSError: 1, **expected})
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        _say(_sentence(name, _fault(error)))
        status = _FAULT
    sys.exit(status)


def run(name: str, work: Callable[[], int], expected: Mapping[type[Exception], int] = _NONE) -> int:
    """Return the exit status of `work`; an error is said on standard error. Raises: all other errors."""
    _open_streams()
    try:
        return _flushed(work)
    except KeyboardInterrupt:
        _say(f"{name}: interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return _NO_READER
    except CommandError as error:
        _say(_sentence(name, str(error)))
        return error.exit_status
    except tuple(expected) as error:
        _say(_sentence(name, _text(error)))
        return max(status for kind, status in expected.items() if isinstance(error, kind))


def discard_output() -> None:
    """Discard the rest of the output, whose reader is gone, instead of failing on it at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_streams() -> None:
    """Give the process a standard output and error, if it was started without."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123 - open as long as the process


def _flushed(work: Callable[[], int]) -> int:
    try:
        return work()
    except SystemExit as end:  # argparse: --help, or wrong options
        return int(end.code or 0)
    finally:
        sys.stdout.flush()


def _sentence(name: str, text: str) -> str:
    return f"{name}:{chr(10) if chr(10) in text else ' '}{text}"


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _fault(error: Exception) -> str:
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_ours(Path(frame.filename))]
    at = f" ({Path(ours[-1].filename).relative_to(_ROOT)}:{ours[-1].lineno})" if ours else ""
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"unexpected {words}{at}; `python -X dev -m ...` shows the traceback"


def _is_ours(path: Path) -> bool:
    return path.is_relative_to(_ROOT) and not path.is_relative_to(_ROOT / ".venv") and path != Path(__file__)


def _say(text: str) -> None:
    with suppress(OSError):
        sys.stderr.write(printable_lines(text, _LINE_CHARS_MAX) + "\n")
        sys.stderr.flush()
