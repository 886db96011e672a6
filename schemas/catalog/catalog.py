"""The folder of released schemas -> `Catalog`: finds a release by schema id, wire id or name.

Invariants: a released file never changes (its SHA-256 is in registry.json) and the registry is append-only,
so an id means one schema forever. A loaded catalog is valid: `compiler` can compile each release. Source:
docs/decisions/0012-schema-releases.md; Avro 1.12.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fastavro
import msgspec
from fastavro.schema import SchemaParseException, UnknownType

from runtime.environment import StartError
from runtime.kafka import topics
from schemas.catalog import schema_model
from schemas.catalog.table_names import is_reserved, table_name

HERE = Path(__file__).parents[1]


class CatalogError(StartError):
    """The folder is invalid; the text lists every problem, one per line."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of one schema."""

    wire_id: int  # from 1; Kafka values start with it, unless a registry assigns ids
    schema_id: str  # Event_AppOpened_5_0_0
    family: str  # mobile | clickstream | tapline
    name: str  # the Avro record's name; in family mobile also the event type
    version: tuple[int, int, int]
    schema: dict[str, Any] = field(repr=False)  # the file's JSON
    text: str = field(repr=False)  # the same without white space, as served by the registry

    @property
    def topic(self) -> str:
        """The topic of its values."""
        is_quarantine = (self.family, self.name) == ("tapline", "Quarantine")
        return topics.QUARANTINE if is_quarantine else topics.EVENTS


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of registry.json."""

    id: int
    schema_id: str
    file: str  # relative to the folder of registry.json
    sha256: str  # of the file's bytes


class RegistryFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """registry.json."""

    releases: tuple[Entry, ...]


class Catalog:
    """All releases, found by id or name. Immutable."""

    def __init__(self, releases: tuple[Release, ...], ids: Mapping[int, int] | None = None) -> None:
        self.releases = releases
        self.ids = ids  # wire id -> id at the registry, if known; None: no registry
        self._by_wire_id = {release.wire_id: release for release in releases}
        self._by_registry_id = {(ids or {}).get(release.wire_id): release for release in releases}
        self._by_schema_id = {release.schema_id: release for release in releases}
        self._newest: dict[tuple[str, str], Release] = {}
        for release in sorted(releases, key=lambda release: release.version):
            self._newest[release.family, release.name] = release
        self.unmodelled = self._newest["tapline", "Unmodelled"]
        self.quarantine = self._newest["tapline", "Quarantine"]
        self.clickstream = self._newest["clickstream", "Clickstream"]

    @classmethod
    def load(cls, root: Path = HERE) -> "Catalog":
        """Load the catalog from the folder `root`. Raises: CatalogError, listing every problem."""
        releases: list[Release] = []
        found = entries(root)
        problems = [*_registry_problems(found)]
        for entry in found:
            try:
                releases.append(_release(root, entry))
            except CatalogError as error:
                problems.append(str(error))
        problems += [] if problems else [*_missing_of_ours(releases), *table_problems(releases)]
        if problems:
            raise CatalogError("\n".join(problems))
        return cls(tuple(releases))

    @property
    def schema_ids(self) -> tuple[str, ...]:
        """The schema ids of all releases."""
        return tuple(self._by_schema_id)

    @property
    def is_complete(self) -> bool:
        """Whether the registry, if there is one, has every release."""
        return self.ids is None or len(self.ids) == len(self.releases)

    @property
    def as_registered(self) -> "Catalog":
        """The same catalog with the ids in Kafka values; only useful once the registry has all."""
        if self.ids is None:
            return self
        return Catalog(tuple(replace(one, wire_id=self.ids[one.wire_id]) for one in self.releases))

    def by_wire_id(self, wire_id: int) -> Release | None:
        """Return the release with this id in registry.json."""
        return self._by_wire_id.get(wire_id)

    def by_registry_id(self, registry_id: int) -> Release | None:
        """Return the release with this id at the registry."""
        return self._by_registry_id.get(registry_id)

    def by_schema_id(self, schema_id: str) -> Release | None:
        """Return the release with this schema id."""
        return self._by_schema_id.get(schema_id)

    def newest(self, name: str, family: str = "mobile") -> Release | None:
        """Return the newest version of the schema `name`; in family mobile that is the event type."""
        return self._newest.get((family, name))

    def newest_releases(self) -> tuple[Release, ...]:
        """Return the newest version of every schema, by wire id."""
        return tuple(sorted(self._newest.values(), key=lambda release: release.wire_id))


def unlisted(root: Path = HERE) -> Iterator[str]:
    """Yield the problems of files without a release, which `load` ignores.

    A killed `schemas add` leaves such files. Raises: CatalogError.
    """
    found = entries(root)
    listed = {entry.file for entry in found}
    for path in sorted((root / "avro").rglob("*.avsc")):
        file = path.relative_to(root).as_posix()
        if file not in listed:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            yield f'{file}: not in registry.json (id {len(found) + 1}, "sha256": "{sha256}" would be next)'


def entries(root: Path) -> tuple[Entry, ...]:
    """Read the entries of a folder's registry. Raises: CatalogError."""
    try:
        return msgspec.json.decode((root / "registry.json").read_bytes(), type=RegistryFile).releases
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"registry.json: {_words(error)}") from None


def parsed(entry: Entry, data: bytes) -> Release:
    """Return the release in an entry's file. Raises: CatalogError, with every problem."""
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"{entry.file}: {_words(error)}") from None
    place = re.fullmatch(r"avro/(\w+)/([A-Za-z]\w*)/(\d+)_(\d+)_(\d+)\.avsc", entry.file, re.ASCII)
    if place is None:
        raise CatalogError(f"{entry.file}: must be avro/<family>/<RecordName>/<major>_<minor>_<patch>.avsc")
    family, name = place[1], place[2]
    major, minor, patch = map(int, place.groups()[2:])
    problems = [*_file_problems(entry, data, schema, (family, name), f"{major}_{minor}_{patch}")]
    if problems:
        raise CatalogError("\n".join(f"{entry.file}: {problem}" for problem in problems))
    text = json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
    return Release(entry.id, entry.schema_id, family, name, (major, minor, patch), schema, text)


def name_of(data: bytes) -> str:
    """Return the name of the record declared in a file. Raises: CatalogError."""
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"not JSON: {error}") from None
    name = schema.get("name") if isinstance(schema, dict) else None
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise CatalogError("must be an Avro record whose name, the event type, is letters, digits and _")
    return name


def unnumbered(data: bytes, family: str) -> Release:
    """Return the release that a file would be, as version 0_0_0. Raises: CatalogError.

    `family` determines the checks: mobile requires the envelope of Tapcart's events.
    """
    name = name_of(data)
    file = f"avro/{family}/{name}/0_0_0.avsc"
    try:
        return parsed(Entry(0, f"Event_{name}_0_0_0", file, hashlib.sha256(data).hexdigest()), data)
    except CatalogError as error:
        faults = str(error).split("\n")
        raise CatalogError("\n".join(fault.removeprefix(f"{file}: ") for fault in faults)) from None


def avro_fault(schema: Any) -> str:
    """Return why a JSON value is not an Avro schema, or ""."""
    try:
        fastavro.parse_schema(schema)
    except (SchemaParseException, UnknownType, ValueError, TypeError, LookupError, AttributeError) as error:
        return f"not an Avro schema: {_words(error)}"
    return ""


def table_problems(releases: Iterable[Release]) -> Iterator[str]:
    """Yield the conflicts of tables that releases would have."""
    named: dict[str, Release] = {}
    for release in releases:
        table = table_name(release.name)
        other = named.setdefault(table, release)
        if (other.family, other.name) != (release.family, release.name):
            yield f"{release.schema_id}: its table would be {table}, which is {other.name}'s"
        elif is_reserved(table):
            yield f"{release.schema_id}: its table would be {table}, which is reserved"


def _registry_problems(found: tuple[Entry, ...]) -> Iterator[str]:
    for index, entry in enumerate(found, 1):
        if entry.id != index:
            yield f"registry.json: id {entry.id} in place {index}; ids must be consecutive, starting with 1"
    for what, names in (
        ("schema_id", [entry.schema_id for entry in found]),
        ("file", [entry.file for entry in found]),
    ):
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"registry.json: {what} {name} is given {names.count(name)} times"


def _release(root: Path, entry: Entry) -> Release:
    try:
        data = (root / entry.file).read_bytes()
    except OSError as error:
        raise CatalogError(f"{entry.file}: {_words(error)}") from None
    return parsed(entry, data)


def _file_problems(
    entry: Entry, data: bytes, schema: Any, key: tuple[str, str], version: str
) -> Iterator[str]:
    family, name = key
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        yield "edited after its release (its SHA-256 is not the registry's): add a version instead"
    if entry.schema_id != f"Event_{name}_{version}":
        yield f"its schema_id is {entry.schema_id}, its path says Event_{name}_{version}"
    if fault := avro_fault(schema):
        yield fault
        return
    if not isinstance(schema, dict) or schema.get("name") != name:
        yield f"its record must be named {name}"
        return
    yield from schema_model.problems(schema, family)


def _missing_of_ours(releases: list[Release]) -> list[str]:
    present = {(release.family, release.name) for release in releases}
    needed = (("tapline", "Unmodelled"), ("tapline", "Quarantine"), ("clickstream", "Clickstream"))
    return [f"registry.json: no release of {'/'.join(key)}" for key in needed if key not in present]


def _words(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else f"{error}"
