"""Schema files -> releases in a folder, numbered by their changes, checked and written; or the faults.

Invariants: a kill at any point leaves a folder that loads: files are written first, each atomically, and the
registry, which names them, last. At most a file that no release names is left over; the next `add` writes it
again. Either all files of a call are released or none. One `add` at a time. Source: rename(2), fsync(2);
docs/decisions/0014-schema-inference.md.
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

    A file named like a version (5_1_0.avsc) requests that version. Raises: CatalogError, with every fault.
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
    """Write a file atomically and sync it to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    for folder in (path.parent, path.parent.parent):  # the parent too, because the folder may be new
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
        raise CatalogError(f"is in the folder of releases, but belongs at {file}")
    entry = Entry(len(catalog.releases) + 1, schema_id, file, hashlib.sha256(data).hexdigest())
    return entry, data, replace(release, wire_id=entry.id, schema_id=schema_id, version=number)


def _before(catalog: Catalog, data: bytes) -> tuple[str, Release | None]:
    """Return the family of a schema and its newest release; new names are event types."""
    name = name_of(data)
    for release in catalog.newest_releases():
        if release.name == name:
            return release.family, release
    return "mobile", None


def _version(path: Path, older: Release | None, schema: dict[str, Any]) -> Version:
    following = version.next_version(older, schema)
    if following is None:
        raise CatalogError(f"no differences from {older.schema_id if older else ''}, which is released")
    if older and older.family == "tapline" and following[0] != older.version[0]:
        raise CatalogError(f"{older.name} is built into the program: fields may be added but not removed")
    found = re.fullmatch(r"(\d+)_(\d+)_(\d+)", path.stem, re.ASCII)
    if found is None:
        return following
    major, minor, patch = map(int, found.groups())
    if reason := version.refusal(older, schema, (major, minor, patch)):
        raise CatalogError(reason)
    return major, minor, patch


def _of_all(before: Catalog, after: Catalog) -> Iterator[str]:
    """Yield the problems of all releases together that did not exist before."""
    if after is not before:
        yield from table_problems(after.releases)
        known = {*evolution.problems(before)}
        yield from (problem for problem in evolution.problems(after) if problem not in known)


def _registry(listed: Sequence[Entry]) -> bytes:
    """Build registry.json with one line per release, for readable diffs."""
    lines = [
        f'    {{"id": {entry.id}, "schema_id": "{entry.schema_id}", "file": "{entry.file}", '
        f'"sha256": "{entry.sha256}"}}'
        for entry in listed
    ]
    return ('{\n  "releases": [\n' + ",\n".join(lines) + "\n  ]\n}\n").encode()


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Lock the folder for this process; the kernel releases the lock in any case."""
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise CatalogError(f"{root}: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
