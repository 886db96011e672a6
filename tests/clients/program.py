"""One program that uses Tapline from outside -> the lines that it prints.

Invariant: nothing is written into the checkout. Packages and binaries are kept in the cache, and installed
again when their list changes.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from deploy.local import jars
from deploy.local.errors import StackError
from tests.support.process import Child
from tests.support.stack import ROOT

HERE = Path(__file__).parent
CACHE = (Path(os.environ.get("TAPLINE_CACHE") or ROOT / ".cache") / "clients").resolve()
NPM = (("node", "--version"), ("npm", "--version"))
GO = (("go", "version"),)
JAVA = (("javac", "-version"), ("java", "-version"))
_SECONDS_MAX = 300.0
_PREPARE_SECONDS_MAX = 600.0  # npm compiles librdkafka


class ProgramFailedError(Exception):
    """A program could not be prepared, ended with an error, or printed too little in time."""


class NotFetchedError(Exception):
    """A program's parts could not be downloaded, so nothing is known of the program itself."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Program:
    """A program, and its requirements."""

    name: str
    command: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...] = ()  # commands that must succeed
    prepare: Callable[[], None] = _nothing
    folder: Path = ROOT  # where it runs
    is_slow: bool = False  # takes minutes: only with --all
    has_null_lists: bool = True  # a reader that distinguishes an empty list from none
    checks: tuple[str, ...] = ()  # of a SQL client: the names of the lines that it must print

    def missing(self) -> str:
        """Return the missing requirements; a name on PATH may be a version manager's stub."""
        return ", ".join(need[0] for need in self.needs if not _succeeds(need))

    def lines(self, env: Mapping[str, str], count: int = sys.maxsize) -> list[str]:
        """Return the first `count` lines that it prints, or all. Raises: ProgramFailedError."""
        with Child(
            self.command, cwd=self.folder, env=os.environ | env, stdout=subprocess.PIPE, text=True
        ) as process:
            watchdog = threading.Timer(_SECONDS_MAX, process.kill)
            watchdog.start()
            try:
                assert process.stdout
                lines = [*islice(process.stdout, count)]
                status = 0 if len(lines) == count else process.wait()
            finally:
                watchdog.cancel()
                process.kill()
        if status:
            raise ProgramFailedError(f"ended with status {status} after {len(lines)} lines")
        return lines


def node(folder: Path) -> Callable[[], None]:
    """Return a function that copies a folder into the cache and installs its packages there."""

    def prepare() -> None:
        there = cached(folder)
        there.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            shutil.copy(path, there)
        fetch("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=there)

    return prepare


def go(folder: Path) -> Callable[[], None]:
    """Return a function that builds a folder's program into the cache."""

    def prepare() -> None:
        fetch("go", "mod", "download", cwd=folder)
        run("go", "build", "-o", str(cached(folder)), ".", cwd=folder)

    return prepare


def java(folder: Path) -> Callable[[], None]:
    """Return a function that fetches a folder's jars into the cache."""
    return lambda: fetch_jars(folder)


def python(folder: Path) -> Callable[[], None]:
    """Return a function that creates an environment of a folder's requirements in the cache."""

    def prepare() -> None:
        there, wanted = cached(folder), folder / "requirements.txt"
        installed = there / "installed.txt"
        if installed.exists() and installed.read_bytes() == wanted.read_bytes():
            return
        run(sys.executable, "-m", "venv", "--clear", str(there))
        pip = (str(there / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        fetch(*pip, "--require-hashes", "-r", str(wanted))
        shutil.copy(wanted, installed)

    return prepare


def cached(folder: Path) -> Path:
    """Return where the packages or the binary of a program's folder are kept."""
    return CACHE / "-".join(folder.relative_to(HERE).parts)


def fetch(*command: str, cwd: Path = ROOT) -> None:
    """Run a command that downloads. Raises: NotFetchedError."""
    try:
        run(*command, cwd=cwd)
    except ProgramFailedError as error:
        raise NotFetchedError(str(error)) from error


def fetch_jars(folder: Path) -> None:
    """Fetch a folder's jars into the cache. Raises: NotFetchedError."""
    try:
        jars.fetch(cached(folder), jars.read_list(folder / "jars.sha256"), say)
    except StackError as error:
        raise NotFetchedError(str(error)) from error


def run(*command: str, cwd: Path = ROOT) -> None:
    """Run a command with its output on standard error. Raises: ProgramFailedError."""
    try:
        subprocess.run(command, cwd=cwd, check=True, stdout=sys.stderr, timeout=_PREPARE_SECONDS_MAX)
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramFailedError(str(error)) from error


def say(line: str) -> None:
    """Print a message for the user."""
    sys.stderr.write(f"{line}\n")


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
