"""Schema files -> releases in a folder: numbered by what changed, checked, written. Or why not.

Invariants: a kill at any line leaves a folder that loads: files come first, each whole at once, and the
registry, which names them, last; so a file that no release names is all that can be left, and the next `add`
writes it again. All files of one call are released together or none. One `add` at a time.
Source: rename(2), fsync(2); DESIGN.md, "Schemas".
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from schemas.catalog import evolution, page, version
from schemas.catalog.catalog import (
    Catalog,
    CatalogError,
    Entry,
    Release,
    entries,
    name_of,
    table_problems,
    unnumbered,
)
from schemas.catalog.version import Version


def add(root: Path, files: Sequence[Path]) -> list[Release]:
    """Release `files` into the folder `root`; return the releases.

    A file named like a version (5_1_0.avsc) asks for that one. Raises: CatalogError, with every reason.
    """
    with _locked(root):
        before = Catalog.load(root)
        catalog, made, faults = before, [], []
        for path in files:
            try:
                entry, data, release = _release(root, catalog, path)
            except CatalogError as error:
                faults += [f"{path}: {line}" for line in str(error).splitlines()]
                continue
            made.append((entry, data, release))
            catalog = Catalog((*catalog.releases, release))
        faults += _of_all(before, catalog)
        if faults:
            raise CatalogError("\n".join(faults))
        for entry, data, _ in made:
            write(root / entry.file, data)
        listed = [*entries(root), *(entry for entry, _, _ in made)]
        write(root / "registry.json", _registry(listed))
        if (root / page.FILE).exists():
            write(root / page.FILE, page.page(catalog).encode())
        return [release for _, _, release in made]


def write(path: Path, data: bytes) -> None:
    """Put a file into its place, whole or not at all, and onto the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    for folder in (path.parent, path.parent.parent):  # the second: the first may be new
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _release(root: Path, catalog: Catalog, path: Path) -> tuple[Entry, bytes, Release]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CatalogError(error.strerror) from None
    family, older = _before(catalog, data)
    release = unnumbered(data, family)
    number = _version(path, older, release.schema)
    schema_id = f"Event_{release.name}_{version.words(number)}"
    file = f"avro/{family}/{release.name}/{version.words(number)}.avsc"
    inside = (root / "avro").resolve()
    if path.resolve().is_relative_to(inside) and path.resolve() != (root / file).resolve():
        raise CatalogError(f"lies among the releases, where its place would be {file}")
    entry = Entry(len(catalog.releases) + 1, schema_id, file, hashlib.sha256(data).hexdigest())
    return entry, data, replace(release, wire_id=entry.id, schema_id=schema_id, version=number)


def _before(catalog: Catalog, data: bytes) -> tuple[str, Release | None]:
    """Return the family that a schema belongs to and its newest release; new names are event types."""
    name = name_of(data)
    for release in catalog.newest_releases():
        if release.name == name:
            return release.family, release
    return "mobile", None


def _version(path: Path, older: Release | None, schema: dict[str, Any]) -> Version:
    following = version.next_version(older, schema)
    if following is None:
        raise CatalogError(f"nothing differs from {older.schema_id if older else ''}, which is released")
    if older and older.family == "tapline" and following[0] != older.version[0]:
        raise CatalogError(f"{older.name} is a part of the program: fields may be added, and none taken away")
    asked = re.fullmatch(r"(\d+)_(\d+)_(\d+)", path.stem, re.ASCII)
    if asked is None:
        return following
    major, minor, patch = map(int, asked.groups())
    if reason := version.refusal(older, schema, (major, minor, patch)):
        raise CatalogError(reason)
    return major, minor, patch


def _of_all(before: Catalog, after: Catalog) -> Iterator[str]:
    """Yield what is wrong with the releases as a whole that was not before."""
    if after is not before:
        yield from table_problems(after.releases)
        known = {*evolution.problems(before)}
        yield from (problem for problem in evolution.problems(after) if problem not in known)


def _registry(listed: Sequence[Entry]) -> bytes:
    """Return registry.json, a line for a release, so that its history reads well."""
    lines = [
        f'    {{"id": {entry.id}, "schema_id": "{entry.schema_id}", "file": "{entry.file}", '
        f'"sha256": "{entry.sha256}"}}'
        for entry in listed
    ]
    return ('{\n  "releases": [\n' + ",\n".join(lines) + "\n  ]\n}\n").encode()


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the folder for this process; the kernel lets go of it whatever happens."""
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise CatalogError(f"{root}: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
