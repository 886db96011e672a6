"""One backup's contents: what is in its folder, of which moment, and the checksum of every file.

Invariants: the manifest is written last, so a folder with one is complete. Every file but the manifest is in
`files`; an incremental backup also names the checksum of its base's manifest, so a chain is checked as a
whole.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import msgspec

from deploy.local.errors import StackError

FILE = "manifest.json"
TABLES, SPOOL, SCHEMAS, TOKEN = "tables", "spool", "schemas", "token"  # what a backup's folder holds
_FORMAT = 1
_BLOCK_BYTES = 1024 * 1024
_SHOWN_MAX = 5


class Base(msgspec.Struct, frozen=True):
    """The backup that an incremental one continues."""

    name: str
    manifest_sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The description of one backup."""

    name: str
    created_at: str  # when the committed offsets were read: ISO 8601, UTC
    tapline: str  # version
    clickhouse: str  # version
    cluster_id: str  # of Kafka
    topic_ids: Mapping[str, str]
    logs: Mapping[str, int]  # topic -> `_log` of its rows
    group: str  # of the loader
    offsets: Mapping[str, Mapping[str, int]]  # topic -> partition -> the loader's next offset
    files: Mapping[str, str]  # path below the folder -> SHA-256
    base: Base | None = None
    format: int = _FORMAT

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the manifest in a folder. Raises: StackError."""
        try:
            found = msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            raise StackError(f"{folder} holds no complete backup: {FILE} is missing") from None
        except msgspec.DecodeError as error:
            raise StackError(f"{folder / FILE}: {error}") from None
        if found.format != _FORMAT:
            raise StackError(f"{folder / FILE}: format {found.format} is unknown to this version of Tapline")
        return found

    def write(self, folder: Path) -> None:
        """Write the manifest; the backup is complete once this returns."""
        os.sync()  # the engine's files too
        new = folder / f"{FILE}.new"
        with new.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / FILE)
        os.sync()


def checksums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder but the manifest, by its path there."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    return {str(path.relative_to(folder)): sha256(path) for path in found}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex. Raises: OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def verified(folder: Path) -> list[tuple[Path, Manifest]]:
    """Return a backup and its bases, the newest first, after checking every file. Raises: StackError."""
    chain = [*_chain(folder)]
    for place, manifest in chain:
        damaged = [path for path, digest in manifest.files.items() if _differs(place / path, digest)]
        if damaged:
            shown = ", ".join(damaged[:_SHOWN_MAX])
            raise StackError(
                f"{place}: {len(damaged)} files are missing or changed: {shown}. Nothing was restored."
            )
    return chain


def _chain(folder: Path) -> Iterator[tuple[Path, Manifest]]:
    manifest = Manifest.read(folder)
    yield folder, manifest
    while base := manifest.base:
        folder = folder.parent / base.name
        manifest = Manifest.read(folder)
        if sha256(folder / FILE) != base.manifest_sha256:
            raise StackError(f"{folder} is not the backup that the next one continues: its manifest differs")
        yield folder, manifest


def _differs(path: Path, digest: str) -> bool:
    try:
        return sha256(path) != digest
    except OSError:
        return True
