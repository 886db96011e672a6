"""The version of ClickHouse that opened a data folder last, kept in it: an older one must not open it.

An engine may not understand the tables of a newer one: 25.5 cannot open a folder of 26.9. Versions count as
(major, minor); a folder from before there was a record belongs to any.
"""

import re
from pathlib import Path

from runtime.command import CommandError

Version = tuple[int, int]

MINIMUM: Version = (26, 0)  # our tables have settings that older ones do not know
_FILE = "engine-version"
_VERSION = re.compile(r"(\d+)\.(\d+)")


class OlderEngineError(CommandError):
    """The data folder belongs to a newer engine."""

    exit_status = 2


def parse(text: str) -> Version:
    """Return the first version in a text; (0, 0) if there is none."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def of_folder(folder: Path) -> Version | None:
    """Return the version that opened a data folder last, or None."""
    try:
        return parse((folder / _FILE).read_text())
    except FileNotFoundError:
        return None


def check(folder: Path, version: Version) -> None:
    """Raise OlderEngineError if a newer version than this one opened the folder last."""
    last = of_folder(folder)
    if last and version < last:
        raise OlderEngineError(
            f"ClickHouse {words(last)} was the last to open {folder}, and {words(version)} may not "
            f"understand it: install {words(last)} or later, or set DATA_DIR to another folder"
        )


def claim(folder: Path, version: Version) -> None:
    """Note that this version is about to open a data folder. Raises: OlderEngineError."""
    check(folder, version)
    if version != of_folder(folder):
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"{_FILE}.new"
        new.write_text(f"{words(version)}\n")
        new.replace(folder / _FILE)


def words(version: Version) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))
